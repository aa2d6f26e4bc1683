package appjar

import (
	"archive/zip"
	"fmt"
	"path"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

const (
	// maxLayers bounds the layers of the application: Docker mounts at most
	// 127 of them, base and archive included, and refuses an image that has
	// more (moby, layer.MaxLayerDepth).
	maxLayers = 100
	// maxFileName is Linux' limit, NAME_MAX, in bytes. An entry of an archive
	// may have a longer one.
	maxFileName = 255
)

// bounds refuses what no engine can unpack.
func (a *App) bounds() error {
	if len(a.Layers) > maxLayers {
		return fault.New(fault.ImageFailed, "name fewer layers in layers.xml, by patterns for whole groups",
			"layers.idx makes %d layers, and engines take no image of more than 127", len(a.Layers))
	}
	names := make([]string, 0, len(a.Libraries)+len(a.Files))
	for _, l := range a.Libraries {
		names = append(names, l.Name)
	}
	for _, f := range a.Files {
		names = append(names, f.Path)
	}
	for _, name := range names {
		for part := range strings.SplitSeq(name, "/") {
			if len(part) > maxFileName {
				return fault.New(fault.ImageFailed, "give it a shorter name", "%s has a name of %d bytes, and file systems take at most %d", name, len(part), maxFileName)
			}
		}
	}
	return nil
}

// tellLoaderPath warns of settings for Spring Boot's PropertiesLauncher, which
// is not in the image.
func (a *App) tellLoaderPath(m manifest, files map[string]*zip.File) {
	if path.Ext(m.get("Main-Class")) != ".PropertiesLauncher" {
		return
	}
	at := ""
	switch {
	case m.get("Loader-Path") != "":
		at = "Loader-Path in the manifest"
	case files["loader.properties"] != nil:
		at = "loader.properties"
	default:
		return
	}
	a.Warnings = append(a.Warnings, fmt.Sprintf("Spring Boot's PropertiesLauncher is not in the image, so what %s says does not count: put further jars in by image.files and start them by image.entrypoint, or make them dependencies", at))
}
