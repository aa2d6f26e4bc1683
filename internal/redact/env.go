package redact

import (
	"slices"
	"strings"
)

// secretNames are the parts of a variable's name, in upper case, that tell a
// secret. ACCESS_KEY covers AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
var secretNames = []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "ACCESS_KEY", "PRIVATE_KEY", "API_KEY", "APIKEY"}

// ordinary are values of switches and defaults that such variables may hold;
// masking them would hide half of every log and no secret.
var ordinary = []string{"true", "false", "none", "null", "auto", "always", "never", "enable", "enabled", "disable", "disabled", "default", "required", "optional"}

// FromEnv picks the values that are secret out of an environment in
// os.Environ's form: those of variables whose name holds, in any case,
// TOKEN, SECRET, PASSWORD, PASSWD, PASSPHRASE, CREDENTIAL, ACCESS_KEY,
// PRIVATE_KEY or API_KEY. Left out are values shorter than Min, words of a
// switch such as "true", words of letters alone and numbers with fewer than
// 6 characters, and the paths in variables whose name ends in _FILE, _PATH
// or _DIR.
func FromEnv(environ []string) []string {
	var values []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if isSecretName(strings.ToUpper(name)) && isSecretValue(strings.ToUpper(name), strings.TrimSpace(value)) {
			values = append(values, value)
		}
	}
	return values
}

func isSecretName(name string) bool {
	return slices.ContainsFunc(secretNames, func(part string) bool { return strings.Contains(name, part) })
}

func isSecretValue(name, value string) bool {
	if len(value) < Min || slices.Contains(ordinary, strings.ToLower(value)) {
		return false
	}
	if strings.HasPrefix(value, "/") && slices.ContainsFunc([]string{"_FILE", "_PATH", "_DIR"}, func(end string) bool { return strings.HasSuffix(name, end) }) {
		return false
	}
	letters := strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	digits := strings.Trim(value, "0123456789") == ""
	return len(value) >= 6 || !letters && !digits
}
