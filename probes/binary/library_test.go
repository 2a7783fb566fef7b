package binary

import (
	"encoding/binary"
	"os"
	"testing"
)

// TestLinkerCache builds a cache as ldconfig lays it out.
func TestLinkerCache(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	libs := [][2]string{{"libfoo.so.1", "/nonexistent/libfoo.so.1"}, {"libfoo.so.1", self}, {"libfoobar.so", self}}
	header := make([]byte, 48)
	copy(header, "glibc-ld.so.cache1.1")
	binary.LittleEndian.PutUint32(header[20:], uint32(len(libs)))
	strs := 48 + 24*len(libs)
	var entries, text []byte
	for _, l := range libs {
		e := make([]byte, 24)
		binary.LittleEndian.PutUint32(e[4:], uint32(strs+len(text)))
		text = append(append(text, l[0]...), 0)
		binary.LittleEndian.PutUint32(e[8:], uint32(strs+len(text)))
		text = append(append(text, l[1]...), 0)
		entries = append(entries, e...)
	}
	cache := append(append(header, entries...), text...)
	for name, want := range map[string]string{"libfoo": self, "libfoo.so.1": self, "libfoo.so": self, "libfoob": "", "foo": "", "libfoobar": self} {
		if got := findInCache(cache, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got := findInCache(append([]byte("ld.so-1.7.0\x00 old"), cache...), name); got != want {
			t.Errorf("after an old cache: %s: %q, want %q", name, got, want)
		}
		for n := range cache {
			findInCache(cache[:n], name) // must not panic
		}
	}
}
