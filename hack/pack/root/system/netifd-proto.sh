# netifd's part of a protocol handler, for throw-away roots: runs what it is told, as netifd would.
# shellcheck shell=dash
init_proto() { proto_call=$2; }
proto_config_add_defaults() { echo defaults; }
add_protocol() {
	"proto_$1_init_config"
	# shellcheck disable=SC2154
	echo "no_device=$no_device available=$available no_proto_task=$no_proto_task l3=$teardown_on_l3_link_down"
	case "$proto_call" in
	setup | teardown) "proto_$1_$proto_call" ;;
	esac
	wait
}
