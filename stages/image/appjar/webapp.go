package appjar

import (
	"archive/zip"
	"strings"

	"github.com/fastship/fastship/internal/zipfs"
)

// webRoot is where a war's pages and static files go: the first of the folders
// below the working directory that Spring Boot's embedded Tomcat, Jetty and
// Undertow look for when they run neither from a .war file nor from one
// unpacked (DocumentRoot.COMMON_DOC_ROOTS, the same from 2.3 to 4.x).
const webRoot = "src/main/webapp/"

// addWebapp takes what a war serves: all but classes, libraries, META-INF (it
// is in app.jar) and the launcher.
func (a *App) addWebapp(elsewhere []string) error {
	for _, f := range a.archive.Files() {
		switch {
		case zipfs.IsDir(f) || inside(f.Name, elsewhere):
			continue
		case strings.HasPrefix(f.Name, "META-INF/") || strings.HasPrefix(f.Name, loaderPackage+"/"):
			continue
		case f.Name == "WEB-INF/classpath.idx" || f.Name == "WEB-INF/layers.idx":
			continue
		case isBomb(f):
			return grows(f)
		}
		a.Files = append(a.Files, File{Path: webRoot + f.Name, Layer: Webapp, Size: int64(f.UncompressedSize64), Open: f.Open})
	}
	return nil
}

// maxGrowth bounds what a text of more than maxUnjudged bytes may grow to when
// it is inflated; the format's own limit is a thousandfold.
const (
	maxGrowth   = 200
	maxUnjudged = 64 << 20
)

func isBomb(f *zip.File) bool {
	return f.UncompressedSize64 > maxUnjudged && f.UncompressedSize64/maxGrowth > f.CompressedSize64
}
