package system

import (
	"fmt"
	"net"
)

// Look reads the state of a device and changes nothing: no journal, no cleaning up.
func Look(device string) (LinkState, error) {
	k, err := openKernel(Params{})
	if err != nil {
		return LinkState{}, err
	}
	defer k.close()
	return k.resolve(device)
}

// Uplinks returns the devices that have a gateway: the ways to the Internet, as far as this machine knows.
func Uplinks() (list []LinkState, err error) {
	k, err := openKernel(Params{})
	if err != nil {
		return nil, err
	}
	defer k.close()
	devices, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	for _, d := range devices {
		s, err := k.resolve(d.Name)
		if err == nil && (s.Gateway4.IsValid() || s.Gateway6.IsValid()) {
			list = append(list, s)
		}
	}
	return list, nil
}
