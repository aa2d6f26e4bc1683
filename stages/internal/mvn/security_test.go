package mvn

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestPasswordsAreDecryptedAsMavenEncryptsThem has what Maven 3.8.7 made: mvn
// --encrypt-master-password "the master", then --encrypt-password.
func TestPasswordsAreDecryptedAsMavenEncryptsThem(t *testing.T) {
	home := t.TempDir()
	security(t, home, "{WiL6guq8I44HMeOWrVpKRVvnck714UB8rui7WvT2v1E=}")
	s := Settings{Servers: []Server{{Password: "{yZPTR7hBORoHu1Aaf5q984AEqrM+Poc85niL+25pgtg=}"}}}
	if !Encrypted(s.Servers[0].Password) {
		t.Fatalf("Maven's %q is not seen as encrypted", s.Servers[0].Password)
	}
	if err := s.Decrypt(Host{Home: home}, Args{}); err != nil || s.Servers[0].Password != "p4ss-wörd {1}" {
		t.Errorf("got %q, %v", s.Servers[0].Password, err)
	}
}

func security(t *testing.T, home, master string) {
	t.Helper()
	write(t, filepath.Join(home, ".m2", "settings-security.xml"), "<settingsSecurity><master>"+master+"</master></settingsSecurity>", 0o600)
}

// The two below were made by Maven 3.8.7: master "m", password "s3cret".
const (
	encryptedMaster   = "{Gcqq2y7ONQYHgDjZo6TfkKPo4ccDig1kORtWs5TTJzo=}"
	encryptedPassword = "{VZ6p00ndnR8Hh8qxWrC207sObkmimWTPOajj3uldmg4=}"
)

func TestDecrypt(t *testing.T) {
	home := t.TempDir()
	security(t, home, encryptedMaster)
	fresh := func() Settings {
		return Settings{
			Servers: []Server{{ID: "plain", Password: "as it is"}, {ID: "corp", Password: "made in May " + encryptedPassword}, {ID: "odd", Password: `a\{b\}`}},
			Proxies: []Proxy{{Password: encryptedPassword}},
		}
	}
	s := fresh()
	if err := s.Decrypt(Host{Home: home}, Args{}); err != nil {
		t.Fatal(err)
	}
	if s.Servers[0].Password != "as it is" || s.Servers[1].Password != "s3cret" || s.Servers[2].Password != `a\{b\}` || s.Proxies[0].Password != "s3cret" {
		t.Errorf("%+v", s)
	}
	elsewhere, moved := t.TempDir(), filepath.Join(t.TempDir(), "moved.xml")
	write(t, moved, "<settingsSecurity><relocation>"+filepath.Join(home, ".m2", "settings-security.xml")+"</relocation></settingsSecurity>", 0o600)
	s = fresh()
	if err := s.Decrypt(Host{Home: elsewhere}, Args{user: []string{"-Dsettings.security=" + moved}}); err != nil || s.Servers[1].Password != "s3cret" {
		t.Errorf("relocated: %q, %v", s.Servers[1].Password, err)
	}
	for name, c := range map[string]struct{ master, password, want string }{
		"no master":      {"", encryptedPassword, "no encrypted <master>"},
		"another master": {encryptedPassword, encryptedPassword, "another master password"},
		"no base64":      {encryptedMaster, "{!}", "not in the form"},
		"cut":            {encryptedMaster, encryptedPassword[:20] + "=}", "decrypt a password"},
	} {
		home := t.TempDir()
		security(t, home, c.master)
		s := Settings{Servers: []Server{{Password: c.password}}}
		if err := s.Decrypt(Host{Home: home}, Args{}); err == nil || !strings.Contains(err.Error(), c.want) || s.Servers[0].Password != c.password {
			t.Errorf("%s: %q, %v", name, s.Servers[0].Password, err)
		}
	}
	s = fresh()
	if err := s.Decrypt(Host{Home: elsewhere}, Args{}); err == nil || !strings.Contains(err.Error(), "settings-security.xml") {
		t.Errorf("no file: %v", err)
	}
	s = Settings{Servers: []Server{{Password: "plain"}}}
	if err := s.Decrypt(Host{Home: elsewhere}, Args{}); err != nil {
		t.Errorf("nothing to decrypt, and yet %v", err)
	}
}

func FuzzDecrypt(f *testing.F) {
	f.Add(strings.Trim(encryptedPassword, "{}"))
	f.Fuzz(func(_ *testing.T, text string) { _, _ = decrypt(text, "x") })
}
