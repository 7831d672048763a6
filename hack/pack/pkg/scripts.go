package pkg

import "strings"

// What every package of OpenWrt does, by the functions of base-files: services on and off, users, first-boot scripts.
const (
	head = "#!/bin/sh\n"
	base = "[ -s \"${IPKG_INSTROOT}/lib/functions.sh\" ] || exit 0\n. \"${IPKG_INSTROOT}/lib/functions.sh\"\n"
	none = "[ \"${IPKG_NO_SCRIPT}\" = \"1\" ] && exit 0\n"
)

// A Script is a maintainer script by the name its package manager knows.
type Script struct{ Name, Text string }

// OpkgScripts returns the files of an ipk's control archive that are scripts. default_postinst and default_prerm run the
// ones that end in -pkg.
func (p *Package) OpkgScripts() []Script {
	list := []Script{
		{"postinst", head + none + base + "default_postinst \"$0\" \"$@\"\n"},
		{"prerm", head + base + "default_prerm \"$0\" \"$@\"\n"},
	}
	add := func(name, text string) {
		if text != "" {
			list = append(list, Script{name, text})
		}
	}
	add("postinst-pkg", p.PostInst)
	add("prerm-pkg", p.PreRm)
	add("postrm", p.PostRm)
	return list
}

// ApkScripts returns the scripts of an apk. An upgrade runs the new package's post-upgrade and nothing else.
func (p *Package) ApkScripts() []Script {
	names := "export root=\"${IPKG_INSTROOT}\"\nexport pkgname=\"" + p.Name + "\"\n"
	after := none + base + names + "add_group_and_user\ndefault_postinst\n" + body(p.PostInst)
	list := []Script{
		{"post-install", head + after},
		{"post-upgrade", head + "export PKG_UPGRADE=1\n" + after},
		{"pre-deinstall", head + base + names + "default_prerm\n" + body(p.PreRm)},
	}
	if p.PostRm != "" {
		list = append(list, Script{"post-deinstall", p.PostRm})
	}
	return list
}

// body is a script without its first line.
func body(script string) string {
	_, rest, found := strings.Cut(script, "\n")
	if !found || !strings.HasPrefix(script, "#!") {
		return script
	}
	return rest
}
