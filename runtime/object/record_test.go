package object

import (
	"encoding/binary"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
)

// record returns a record with a packed string, an integer and another packed
// string. The lengths are those stored in the record; -1 is the string's own
// length.
func record(a, b string, lenA, lenB int) *Record {
	ev := &Event{Size: HeaderSize + 16, Args: []Arg{
		{Type: types.NewString(100), Off: 8, Packed: true},
		{Type: types.TInt32, Off: 12},
		{Type: types.NewString(100), Off: 16, Packed: true},
	}}
	if lenA < 0 {
		lenA, lenB = len(a), len(b)
	}
	data := make([]byte, ev.Size)
	binary.NativeEndian.PutUint32(data[8:], uint32(lenA))
	binary.NativeEndian.PutUint32(data[12:], 7)
	binary.NativeEndian.PutUint32(data[16:], uint32(lenB))
	return &Record{Event: ev, Data: append(append(data, a...), b...)}
}

func TestPackedArgs(t *testing.T) {
	r := record("one\x00", "three\x00", -1, 0)
	for i, want := range []string{"one\x00", "\x07\x00\x00\x00", "three\x00"} {
		if got := string(r.Arg(i)); got != want {
			t.Errorf("argument %d is %q, not %q", i, got, want)
		}
	}
}

// TestPackedArgsOfBrokenRecord checks that wrong lengths in a record never lead out
// of it.
func TestPackedArgsOfBrokenRecord(t *testing.T) {
	for _, r := range []*Record{
		record("one\x00", "", 1<<31, 5),
		record("one\x00", "x", 4, 1<<32-1),
		record("", "", 9, 9),
	} {
		for i := range r.Args {
			if n := len(r.Arg(i)); n > r.Args[i].Type.Size || n > len(r.Data) {
				t.Errorf("argument %d has %d bytes", i, n)
			}
		}
	}
}
