package quota

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Zone makes a time zone of what POSIX writes into TZ and OpenWrt into /etc/TZ: "CET-1CEST,M3.5.0,M10.5.0/3".
func Zone(posix string) (*time.Location, error) {
	posix = strings.TrimSpace(posix)
	if posix == "" || strings.ContainsAny(posix, "\n\x00") {
		return nil, fmt.Errorf("time zone %q is none", posix)
	}
	// The library reads such rules at the end of a file of time zones (RFC 9636) only: here is one without a past. Each of
	// its two blocks has one kind of time, UTC.
	var file []byte
	for range 2 {
		file = append(file, "TZif2"...)
		file = append(file, make([]byte, 15)...)
		for _, count := range []uint32{0, 0, 0, 0, 1, 4} { // UT flags, standard flags, leap seconds, transitions, kinds, letters
			file = binary.BigEndian.AppendUint32(file, count)
		}
		file = append(file, 0, 0, 0, 0, 0, 0) // offset, summer time, name
		file = append(file, "UTC\x00"...)
	}
	file = append(file, "\n"+posix+"\n"...)
	zone, err := time.LoadLocationFromTZData(posix, file)
	if err != nil {
		return nil, fmt.Errorf("read time zone %q: %w", posix, err)
	}
	return zone, nil
}
