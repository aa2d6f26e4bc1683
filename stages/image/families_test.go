package image

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fastship/fastship/stages/image/appjar"
)

func divided(sizes map[string]int64) (roles []string, layerOf map[string]string) {
	files := map[string][]layerFile{}
	for name, size := range sizes {
		files[appjar.Dependencies] = append(files[appjar.Dependencies], layerFile{Path: "app/lib/" + name, size: size})
	}
	slices.SortFunc(files[appjar.Dependencies], func(a, b layerFile) int { return len(a.Path) - len(b.Path) })
	roles = divide(files, []string{appjar.Dependencies, appjar.Application})
	layerOf = map[string]string{}
	for _, role := range roles {
		for _, f := range files[role] {
			layerOf[f.Path[len("app/lib/"):]] = role
		}
	}
	return roles, layerOf
}

// TestFamilies: what is released together is in one layer, large families
// have their own, and a new version or another library moves nothing else.
// TestFamilyOfQuarkus: its jars have the group in front of their names.
func TestFamilyOfQuarkus(t *testing.T) {
	for name, want := range map[string]string{
		"app/lib/main/io.netty.netty-common-4.1.jar": "netty", "app/lib/boot/org.jboss.logging.jboss-logging-3.6.jar": "jboss",
		"app/lib/main/jakarta.inject.jakarta.inject-api-2.jar": "jakarta", "app/lib/io-1.0.jar": "io", "app/lib/Org.x.jar": "org",
	} {
		if got := familyOf(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestFamilies(t *testing.T) {
	sizes := map[string]int64{
		"spring-core-7.0.1.jar": 2 << 20, "spring-web-7.0.1.jar": 1 << 20, "hibernate-core-7.1.jar": 9 << 20,
		"HikariCP-6.jar": 160 << 10, "slf4j-api-2.0.17.jar": 70 << 10, "h2-2.4.jar": 2 << 20, "1.jar": 5,
	}
	roles, before := divided(sizes)
	want := []string{"dependencies/h", "dependencies/hibernate"}
	if !slices.Equal(roles[:2], want) || roles[len(roles)-1] != appjar.Application || before["spring-web-7.0.1.jar"] != "dependencies/spring" {
		t.Errorf("layers %v, %v", roles, before)
	}
	if len(before) != len(sizes) {
		t.Errorf("%d of %d jars have a layer", len(before), len(sizes))
	}
	sizes["jackson-core-3.0.jar"] = 600 << 10
	delete(sizes, "hibernate-core-7.1.jar")
	sizes["hibernate-core-7.2.jar"] = 10 << 20
	_, after := divided(sizes)
	for name, layer := range before {
		if got, there := after[name]; there && got != layer {
			t.Errorf("%s moved from %s to %s", name, layer, got)
		}
	}
	if after["hibernate-core-7.2.jar"] != "dependencies/hibernate" {
		t.Errorf("a new version is in %s", after["hibernate-core-7.2.jar"])
	}
}

// TestManyFamilies: however many, an image has room for their layers.
func TestManyFamilies(t *testing.T) {
	sizes := map[string]int64{}
	for i := range 600 {
		sizes[fmt.Sprintf("%c%c%c-1.jar", 'a'+i%26, 'a'+i/26%26, 'a'+i/7%26)] = int64(2+i%9) << 20
	}
	if roles, _ := divided(sizes); len(roles) > ownFamilies+otherLayers+1 {
		t.Errorf("%d layers", len(roles))
	}
	sizes = map[string]int64{"a-1.jar": 1 << 20, "b-1.jar": 1 << 20}
	if roles, _ := divided(sizes); !slices.Equal(roles, []string{appjar.Dependencies, appjar.Application}) {
		t.Errorf("a few libraries are in %v", roles)
	}
}
