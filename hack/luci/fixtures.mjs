// What a router with two modems and a LAN says of itself, as LuCI asks it; addresses are those of the lab's router.
const iface = (name, device, proto, v4, more = {}) => ({
	interface: name, up: true, pending: false, available: true, autostart: true, dynamic: false, uptime: 7300, l3_device: device, device, proto,
	'ipv4-address': v4 ? [ { address: v4, mask: 24 } ] : [], 'ipv6-address': [], 'ipv6-prefix': [], 'ipv6-prefix-assignment': [], 'dns-server': [], 'dns-search': [], route: [], data: {}, inactive: {}, ...more
});
const gateway = nexthop => ({ route: [ { target: '0.0.0.0', mask: 0, nexthop, source: '0.0.0.0/0' } ] });
const device = (name, type = 'Network device') => ({
	name, type, devtype: 'ethernet', up: true, carrier: true, mac: '02:00:00:00:00:01', mtu: 1500, qlen: 1000, ipaddrs: [], ip6addrs: [], flags: { up: true }, stats: {},
	link: { speed: 1000, duplex: 'full', carrier: true }, wireless: false, bridge: false, master: null
});

export const fixtures = {
	'luci.getFeatures': { firewall: true, firewall4: true, opkg: true, ipv6: true },
	'luci.getVersion': { revision: 'test', branch: 'test' },
	'luci.getMountPoints': { result: [] },
	'luci.getCPUUsage': {},
	'luci-rpc.getBoardJSON': { model: { id: 'test', name: 'Test router' }, network: {} },
	'luci-rpc.getHostHints': {},
	'luci-rpc.getWirelessDevices': {},
	'luci-rpc.getDHCPLeases': { dhcp_leases: [], dhcp6_leases: [] },
	'luci-rpc.getNetworkDevices': Object.fromEntries([ 'lan0', 'wan1', 'wan2', 'wan3', 'usb0', 'eth8', 'eth9' ].map(n => [ n, device(n) ])),
	'network.get_proto_handlers': Object.fromEntries([ 'static', 'none', 'dhcp', 'mpproxy' ].map(p => [ p, { no_device: p == 'mpproxy' } ])),
	'network.interface.dump': { interface: [
		iface('lan', 'lan0', 'static', '10.1.0.1'),
		iface('wan', 'wan1', 'dhcp', '192.168.1.2', gateway('192.168.1.1')),
		iface('wan6', 'wan1', 'dhcpv6', null, { 'ipv6-address': [ { address: '2001:db8:1::2', mask: 64 } ] }),
		iface('wwan', 'wan2', 'dhcp', '192.168.2.2', gateway('192.168.2.1')),
		iface('modem', 'usb0', 'dhcp', null, { up: false, l3_device: null }),
		iface('twin', 'eth9', 'dhcp', '10.1.0.77', gateway('10.1.0.1')),
		iface('cable', 'eth8', 'dhcp', null, { up: false, pending: true, l3_device: null })
	] },
	'network.device.status': {},
	'system.board': { hostname: 'OpenWrt', model: 'Test router', system: 'x86', kernel: '6.6', release: { description: 'OpenWrt' } },
	'system.info': { uptime: 7400, localtime: 1800000000, load: [ 1000, 900, 800 ], memory: { total: 256e6, free: 128e6, buffered: 1e6, shared: 0, available: 150e6, cached: 2e7 }, root: { total: 1e4, free: 9e3 }, tmp: {}, swap: {} }
};

export const uciFiles = {
	network: `config interface 'loopback'\n\toption device 'lo'\n\toption proto 'static'\n\nconfig interface 'lan'\n\toption device 'lan0'\n\toption proto 'static'\n
config interface 'wan'\n\toption device 'wan1'\n\toption proto 'dhcp'\n\nconfig interface 'wan6'\n\toption device 'wan1'\n\toption proto 'dhcpv6'\n
config interface 'wwan'\n\toption device 'wan2'\n\toption proto 'dhcp'\n\nconfig interface 'modem'\n\toption device 'usb0'\n\toption proto 'dhcp'\n
config interface 'twin'\n\toption device 'eth9'\n\toption proto 'dhcp'\n\nconfig interface 'cable'\n\toption device 'eth8'\n\toption proto 'dhcp'\n`,
	mwan3: `config interface 'wan'\n\toption enabled '1'\n`,
	luci: `config core 'main'\n\toption lang 'auto'\n`,
	firewall: `config defaults\n\toption flow_offloading_hw '1'\n`,
	system: `config system\n\toption hostname 'OpenWrt'\n`
};
