package pkg

import (
	"regexp"
	"strings"
)

// versionPattern is what both package managers order alike: numbers, at most one pre- or post-release, a release.
var versionPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*(_(alpha|beta|pre|rc|git|p)[0-9]*)?-r[0-9]+$`)

// ValidVersion reports whether apk and opkg both understand v, and order it alike.
func ValidVersion(v string) bool { return versionPattern.MatchString(v) }

// DebianVersion is v for dpkg, which sorts "~" before and "+" after the plain version: 1.2.3_rc1-r2 is 1.2.3~rc1-2.
func DebianVersion(v string) string {
	v = strings.Replace(v, "-r", "-", 1)
	for _, before := range []string{"_alpha", "_beta", "_pre", "_rc"} {
		v = strings.Replace(v, before, "~"+before[1:], 1)
	}
	return strings.Replace(v, "_", "+", 1)
}
