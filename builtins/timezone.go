package builtins

import (
	"encoding/binary"
	"os"
	"strings"
	"sync"
	"time"
)

// localZone is the local time zone. Package time takes TZ for the name of a file
// and a POSIX rule, as in TZ=CET-1CEST,M3.5.0,M10.5.0/3, for UTC.
func localZone() *time.Location {
	if zone := envZone(); zone != nil {
		return zone
	}
	return time.Local
}

var envZone = sync.OnceValue(func() *time.Location { return ruleZone(os.Getenv("TZ")) })

// ruleZone returns the time zone of a POSIX rule; nil if tz is none.
func ruleZone(tz string) *time.Location {
	if tz == "" || strings.ContainsAny(tz, "\n:/") && !strings.ContainsAny(tz, "+-0123456789") || tz[0] == ':' || tz[0] == '/' {
		return nil
	}
	if _, err := time.LoadLocation(tz); err == nil {
		return nil // a file, which comes first
	}
	zone, err := time.LoadLocationFromTZData(tz, zoneFile(tz))
	if err != nil {
		return nil
	}
	return zone
}

// zoneFile is a file of tzfile(5), version 2, that has nothing but a rule, for all
// times after one long past. Until then, and if the rule is wrong, it is UTC.
func zoneFile(rule string) []byte {
	const name = "UTC\x00"
	header := func(times, kinds, chars uint32) []byte {
		b := append([]byte("TZif2"), make([]byte, 15)...)
		for _, n := range []uint32{0, 0, 0, times, kinds, chars} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	b := append(header(0, 0, 0), header(1, 1, uint32(len(name)))...)
	first := int64(-1 << 59)
	b = binary.BigEndian.AppendUint64(b, uint64(first))
	b = append(b, 0)                // of this kind:
	b = append(b, 0, 0, 0, 0, 0, 0) // no offset, not summer, the first name
	b = append(b, name...)
	return append(b, "\n"+rule+"\n"...)
}
