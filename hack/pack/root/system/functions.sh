# What OpenWrt's base-files offer to scripts, as far as ours use it: reading the configuration, and what installing and
# removing a package does with its services. Written for throw-away roots from the documented behaviour.
# shellcheck shell=dash

config_load() {
	[ -z "$IPKG_INSTROOT" ] || return 0
	config_package=$1
	[ -f "/etc/config/$1" ]
}

config_get() { # variable section option default
	local _value
	_value=$(uci -q get "$config_package.$2.$3") || _value=$4
	eval "$1=\$_value"
}

config_get_bool() {
	local _word
	config_get _word "$2" "$3" "$4"
	case $_word in
	1 | on | true | yes | enabled) eval "$1=1" ;;
	0 | off | false | no | disabled) eval "$1=0" ;;
	*) eval "$1=\$4" ;;
	esac
}

config_foreach() { # function type
	local _section
	for _section in $(uci -q show "$config_package" | sed -n "s/^$config_package\.\([^.=]*\)=$2\$/\1/p"); do
		"$1" "$_section"
	done
}

_services() {
	local list=$IPKG_INSTROOT/usr/lib/opkg/info/$pkgname.list
	[ ! -f "$IPKG_INSTROOT/lib/apk/packages/$pkgname.list" ] || list=$IPKG_INSTROOT/lib/apk/packages/$pkgname.list
	grep -s "^$1" "$list"
}

_name_of() { # /usr/lib/opkg/info/mpproxy.postinst
	[ -n "$pkgname" ] || pkgname=$(basename "${1%.*}")
}

add_group_and_user() { :; }

default_postinst() {
	local file shell
	_name_of "$1"
	shell=$(command -v bash || echo /bin/sh)
	if [ -z "$IPKG_INSTROOT" ] && [ -n "$(_services /etc/uci-defaults/)" ]; then
		for file in $(_services /etc/uci-defaults/); do
			# shellcheck disable=SC1090
			[ ! -f "$file" ] || { (cd "${file%/*}" && . "$file") && rm -f "$file"; }
		done
		uci commit network # the real one commits everything that anybody staged
		uci commit firewall
	fi
	local extra=$IPKG_INSTROOT/usr/lib/opkg/info/$pkgname.postinst-pkg
	# shellcheck disable=SC1090
	[ ! -f "$extra" ] || (. "$extra")
	for file in $(_services /etc/init.d/); do
		if [ -n "$IPKG_INSTROOT" ]; then
			$shell "$IPKG_INSTROOT/etc/rc.common" "$IPKG_INSTROOT$file" enable
		else
			[ "$PKG_UPGRADE" = 1 ] || "$file" enable
			"$file" start
		fi
	done
}

default_prerm() {
	local file
	_name_of "$1"
	local extra=$IPKG_INSTROOT/usr/lib/opkg/info/$pkgname.prerm-pkg
	# shellcheck disable=SC1090
	[ ! -f "$extra" ] || (. "$extra")
	for file in $(_services /etc/init.d/); do
		[ "$PKG_UPGRADE" = 1 ] || "$file" disable
		"$file" stop
	done
}
