# procd's functions write down what they are told; /tmp/running.NAME says that NAME runs, /tmp/running.NAME.X that its instance X does.
# shellcheck shell=dash disable=SC2154
record() { [ -n "$IPKG_INSTROOT" ] || echo "$*" >>/tmp/calls; }
procd_running() { [ -e "/tmp/running.$1${2:+.$2}" ]; }
procd_open_instance() {
	instance=$1
	record "instance $*"
}
procd_set_param() { record "param $*"; }
procd_close_instance() {
	record close_instance
	: >"/tmp/running.$name"
	: >"/tmp/running.$name.$instance"
}
procd_open_trigger() { :; }
procd_close_trigger() { :; }
procd_add_reload_trigger() { record "trigger config $*"; }
procd_add_interface_trigger() { record "trigger $*"; }
procd_add_validation() {
	record "validation $*"
	"$@"
}
procd_send_signal() { record "signal $*"; }
# The real one begins a new message, in the place of the service that is being described.
procd_set_config_changed() {
	record "changed $*"
	[ -z "$described" ] || record "lost $described"
}
uci_validate_section() {
	record "validate $1 $2 $3"
	[ ! -e /tmp/invalid ]
}
