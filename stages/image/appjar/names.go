package appjar

// Names lists the files of app.jar, without its manifest.
func (a *App) Names() []string {
	names := make([]string, 0, len(a.entries))
	for _, e := range a.entries {
		if e.file != nil {
			names = append(names, e.name)
		}
	}
	return names
}

// Attribute is a main attribute of app.jar's manifest, or the empty string.
func (a *App) Attribute(name string) string {
	m, err := parseManifest(a.manifest)
	if err != nil {
		return "" // it was read once, when the jar was opened
	}
	return m.get(name)
}
