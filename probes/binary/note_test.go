package binary

import (
	"encoding/binary"
	"strings"
	"testing"
)

// TestNoteID finds the build ID among notes, also damaged ones.
func TestNoteID(t *testing.T) {
	note := func(name string, kind uint32, data string) []byte {
		ne := binary.NativeEndian
		b := ne.AppendUint32(ne.AppendUint32(ne.AppendUint32(nil, uint32(len(name))), uint32(len(data))), kind)
		for _, s := range []string{name, data} {
			b = append(append(b, s...), make([]byte, -len(s)&3)...)
		}
		return b
	}
	id, other := note("GNU\x00", 3, "\xab\xcd\xef\x01"), note("Linux\x00", 3, "x")
	for _, c := range []struct {
		notes []byte
		want  string
	}{
		{id, "abcdef01"}, {append(append([]byte{}, other...), id...), "abcdef01"}, {other, ""}, {nil, ""}, {id[:len(id)-1], ""},
		{note("GNU\x00", 1, "abcd"), ""}, {[]byte(strings.Repeat("\xff", 40)), ""},
	} {
		if got := NoteID(c.notes, binary.NativeEndian); got != c.want {
			t.Errorf("%q: %q, want %q", c.notes, got, c.want)
		}
	}
}
