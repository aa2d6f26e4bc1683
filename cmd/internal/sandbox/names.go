package sandbox

import "strings"

// resourceName makes a name for ECS (letters, digits, hyphens, underscores, at
// most 255) of an application's.
func resourceName(app string) string {
	return clean(app, "_-")
}

// repositoryName makes a repository's name (lower case, see the distribution
// specification) of an application's.
func repositoryName(app string) string {
	return clean(strings.ToLower(app), "")
}

func clean(s, allowed string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(allowed, r) {
			return r
		}
		return '-'
	}, s)
	s = strings.Trim(s[:min(len(s), 200)], "-")
	for strings.Contains(s, "---") { // no repository may have three in a row beside others' rules
		s = strings.ReplaceAll(s, "---", "-")
	}
	if s == "" {
		return "app"
	}
	return s
}
