'use strict';
'require form';
'require network';

return network.registerProtocol('mpproxy', {
	getI18n() {
		return _('Bonding (mpproxy)');
	},

	getIfname() {
		return this._ubus('l3_device') || 'mpp0';
	},

	getPackageName() {
		return 'mpproxy';
	},

	isFloating() {
		return true;
	},

	isVirtual() {
		return true;
	},

	getDevices() {
		return null;
	},

	containsDevice(device) {
		return network.getIfnameOf(device) == this.getIfname();
	},

	renderFormOptions(s) {
		const o = s.taboption('general', form.DummyValue, '_mpproxy', _('Settings'));

		o.rawhtml = true;
		o.cfgvalue = () => E('a', { 'href': L.url('admin/network/mpproxy') }, [ _('Network - Bonding') ]);
	}
});
