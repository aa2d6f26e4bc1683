package awsconf

import "testing"

func TestIdentity(t *testing.T) {
	const profiles = "[default]\nregion = eu-west-1\n[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n" +
		"[profile ship]\nrole_arn = arn:aws:iam::111122223333:role/ship\nsource_profile = base\n" +
		"[profile person]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Dev\n[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://example.awsapps.com/start\n"
	for want, vars := range map[string][]string{
		"key AKIDEXAMPLE": {"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "AWS_PROFILE=ship"},
		"key AKIDBASE":    {"AWS_PROFILE=base"},
		"role arn:aws:iam::111122223333:role/ship by key AKIDBASE": {"AWS_PROFILE=ship"},
		"role arn:aws:iam::111122223333:role/pod":                  {"AWS_ROLE_ARN=arn:aws:iam::111122223333:role/pod", "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/token"},
		"sso 111122223333 Dev  corp":                               {"AWS_PROFILE=person"},
	} {
		t.Run(want, func(t *testing.T) {
			environment(t, profiles, "", vars...)
			cfg, err := Read(t.Context(), Options{Region: "eu-west-1"})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Identity(t.Context(), cfg); err != nil || got != want {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	// Credentials that nothing on this machine names are asked for.
	if got, err := Identity(t.Context(), Local("http://127.0.0.1:1", "local")); err != nil || got != "key local" {
		t.Errorf("%q, %v", got, err)
	}
}
