package sbom

import (
	"regexp"
	"strings"
)

// spdx finds SPDX identifiers (spdx.org/licenses).
type spdx struct{ names, addresses map[string]string }

func newSPDX() spdx { return spdx{identifiers(), addresses()} }

// id is the identifier of a licence that a pom names; empty for one that is
// not known for sure. “BSD” alone is none: there are several.
func (s spdx) id(l License) string {
	if id, ok := s.names[strings.ToLower(l.Name)]; ok {
		return id
	}
	if id, ok := s.names[normal(l.Name)]; ok {
		return id
	}
	return s.addresses[address(l.URL)]
}

var filler = regexp.MustCompile(`\b(the|version|license|licence|software|v)\b\.?|[^a-z0-9.+]+`)

var shortVersion = regexp.MustCompile(`\bv(\d)`)

// normal brings the many ways of writing one name together: “The Apache
// Software License, Version 2.0” and “Apache License v2” are apache 2.0 and
// apache 2.
func normal(name string) string {
	name = shortVersion.ReplaceAllString(strings.ToLower(name), "$1")
	return strings.Join(strings.Fields(filler.ReplaceAllString(name, " ")), " ")
}

// identifiers maps normal names and the identifiers themselves.
func identifiers() map[string]string {
	names := map[string]string{
		"apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "asl 2.0": "Apache-2.0", "al 2.0": "Apache-2.0", "apache public 2.0": "Apache-2.0",
		"mit": "MIT", "mit 0": "MIT-0", "isc": "ISC",
		"bsd 2 clause": "BSD-2-Clause", "bsd 3 clause": "BSD-3-Clause", "new bsd": "BSD-3-Clause", "revised bsd": "BSD-3-Clause", "modified bsd": "BSD-3-Clause",
		"3 clause bsd": "BSD-3-Clause", "2 clause bsd": "BSD-2-Clause", "simplified bsd": "BSD-2-Clause", "edl 1.0": "BSD-3-Clause",
		"eclipse distribution 1.0": "BSD-3-Clause", "eclipse distribution 1.0 bsd": "BSD-3-Clause",
		"eclipse public 1.0": "EPL-1.0", "epl 1.0": "EPL-1.0", "eclipse public 2.0": "EPL-2.0", "epl 2.0": "EPL-2.0",
		"eclipse public 1": "EPL-1.0", "eclipse public 2": "EPL-2.0",
		"gnu lesser general public 2.1": "LGPL-2.1-only", "lgpl 2.1": "LGPL-2.1-only",
		"lgpl 2.1 or later": "LGPL-2.1-or-later", "gnu library general public 2.1 or later": "LGPL-2.1-or-later",
		"gnu lesser general public 3.0": "LGPL-3.0-only", "lgpl 3.0": "LGPL-3.0-only",
		"mozilla public 1.1": "MPL-1.1", "mpl 1.1": "MPL-1.1", "mozilla public 2.0": "MPL-2.0", "mpl 2.0": "MPL-2.0",
		"cddl 1.0": "CDDL-1.0", "cddl 1.1": "CDDL-1.1", "common development and distribution 1.0": "CDDL-1.0",
		"cc0": "CC0-1.0", "cc0 1.0 universal": "CC0-1.0", "public domain cc0": "CC0-1.0", "universal permissive 1.0": "UPL-1.0",
		"unlicense": "Unlicense", "go": "BSD-3-Clause", "unicode icu": "ICU",
	}
	for _, id := range []string{
		"Apache-2.0", "Apache-1.1", "MIT", "MIT-0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "EPL-1.0", "EPL-2.0", "LGPL-2.1-only", "LGPL-2.1-or-later",
		"LGPL-3.0-only", "LGPL-3.0-or-later", "GPL-2.0-only", "GPL-3.0-only", "MPL-1.1", "MPL-2.0", "CDDL-1.0", "CDDL-1.1", "CC0-1.0", "UPL-1.0", "Unlicense", "BlueOak-1.0.0", "0BSD",
	} {
		names[strings.ToLower(id)] = id
	}
	return names
}

// address makes one of the ways of writing a URL.
func address(url string) string {
	url = strings.ToLower(url)
	for _, prefix := range []string{"https://", "http://", "www."} {
		url = strings.TrimPrefix(url, prefix)
	}
	for _, suffix := range []string{"/", ".txt", ".html", ".php"} {
		url = strings.TrimSuffix(url, suffix)
	}
	return url
}

func addresses() map[string]string {
	return map[string]string{
		"apache.org/licenses/license-2.0":           "Apache-2.0",
		"opensource.org/licenses/apache-2.0":        "Apache-2.0",
		"opensource.org/licenses/mit":               "MIT",
		"opensource.org/license/mit":                "MIT",
		"opensource.org/licenses/mit-license":       "MIT",
		"opensource.org/licenses/bsd-3-clause":      "BSD-3-Clause",
		"opensource.org/licenses/bsd-2-clause":      "BSD-2-Clause",
		"eclipse.org/legal/epl-v10":                 "EPL-1.0",
		"eclipse.org/legal/epl-v20":                 "EPL-2.0",
		"eclipse.org/legal/epl-2.0":                 "EPL-2.0",
		"eclipse.org/org/documents/edl-v10":         "BSD-3-Clause",
		"mozilla.org/en-us/mpl/2.0":                 "MPL-2.0",
		"mozilla.org/mpl/2.0":                       "MPL-2.0",
		"gnu.org/licenses/old-licenses/lgpl-2.1":    "LGPL-2.1-only",
		"gnu.org/licenses/old-licenses/lgpl-2.1.en": "LGPL-2.1-only",
		"gnu.org/licenses/lgpl-3.0":                 "LGPL-3.0-only",
		"creativecommons.org/publicdomain/zero/1.0": "CC0-1.0",
		"repository.jboss.org/licenses/apache-2.0":  "Apache-2.0",
		"repository.jboss.org/licenses/cc0":         "CC0-1.0",
	}
}
