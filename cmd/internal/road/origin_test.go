package road

import "testing"

func TestPublicURL(t *testing.T) {
	const want = "https://git.example/team/orders"
	for _, remote := range []string{
		"https://git.example/team/orders", "https://git.example/team/orders.git", "https://git.example/team/orders/",
		"git@git.example:team/orders.git", "git.example:team/orders.git", "git@git.example:/team/orders",
		"ssh://git@git.example/team/orders.git", "ssh://git@git.example:2222/team/orders.git", "git://git.example/team/orders",
	} {
		if got := publicURL(remote); got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
	if got := publicURL("https://git.example:8443/orders.git"); got != "https://git.example:8443/orders" {
		t.Errorf("a port of https: got %s", got)
	}
	for _, remote := range []string{"", "/srv/git/orders.git", "../orders", "file:///srv/git/orders", `C:\git\orders`} {
		if got := publicURL(remote); got != "" {
			t.Errorf("%q: got %s, want none", remote, got)
		}
	}
}
