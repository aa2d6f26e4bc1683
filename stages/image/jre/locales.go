package jre

import (
	"path"
	"regexp"
)

// localeData holds the names, dates and numbers of all locales but English:
// 23.5 MB in lib/modules of JDK 17, 6 to 8 MB compressed, the dearest module by
// far. Without it other locales come out in English, and nothing fails. So an
// application that shows another language gets it, and others do not carry it.
const localeData = "jdk.localedata"

// translation is a bundle of ResourceBundle or MessageSource for a language
// and, maybe, a script and a region.
var translation = regexp.MustCompile(`^.+_([a-z]{2,3})(_[A-Z][a-z]{3})?(_([A-Z]{2}|[0-9]{3}))?\.(properties|xml|ya?ml)$`)

// isTranslation tells that a file holds texts in another language than English.
func isTranslation(name string) bool {
	m := translation.FindStringSubmatch(path.Base(name))
	return m != nil && m[1] != "en"
}

// namesLocale tells that a class makes a locale of a language that it names or
// is told: new Locale("de"), Locale.of, Locale.forLanguageTag, Locale.GERMANY. A
// class that only passes locales on, or asks for ROOT, ENGLISH, US, UK or the
// default, does not.
func (p *pool) namesLocale() bool {
	if !p.locale {
		return false
	}
	for _, c := range p.constants {
		if c.tag != tagFieldref && c.tag != tagMethodref || !isLocale(p.name(int(c.first), tagClass)) {
			continue
		}
		member := p.of(int(c.second), tagNameAndType)
		switch string(p.text(int(member.first))) {
		case "<init>", "of", "forLanguageTag", "setLanguage", "setLanguageTag":
			return true
		case "ROOT", "ENGLISH", "US", "UK", "CANADA":
		default:
			if string(p.text(int(member.second))) == "Ljava/util/Locale;" { // a constant: GERMANY
				return true
			}
		}
	}
	return false
}

// isLocale tells a class that makes locales.
func isLocale(class []byte) bool {
	return string(class) == "java/util/Locale" || string(class) == "java/util/Locale$Builder"
}
