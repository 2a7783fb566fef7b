package runtime

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// TestProgramLog looks up addresses after records of programs that were loaded and
// unloaded, some at the addresses of others.
func TestProgramLog(t *testing.T) {
	record := func(start uint64, size uint32, kind, flags uint16, name string) []byte {
		ne := binary.NativeEndian
		b := ne.AppendUint32(nil, recordKsymbol)
		b = ne.AppendUint32(b, 0)
		b = ne.AppendUint64(b, start)
		b = ne.AppendUint32(b, size)
		b = ne.AppendUint16(b, kind)
		b = ne.AppendUint16(b, flags)
		return append(append(b, name...), 0)
	}
	var l programLog
	for _, step := range []struct {
		rec  []byte
		want string
	}{
		{record(100, 50, ksymbolBPF, 0, "a"), "99:- 100:a+0 149:a+49 150:-"},
		{record(300, 10, ksymbolBPF, 0, "b"), "100:a+0 300:b+0 310:-"},
		{record(200, 100, ksymbolBPF, 0, "c"), "199:- 200:c+0 299:c+99 300:b+0"},
		{record(100, 50, ksymbolBPF, ksymbolUnregister, "a"), "100:a+0 149:a+49"},
		{record(400, 50, 2, 0, "trampoline"), "400:-"},
		{record(120, 10, ksymbolBPF, 0, "inside"), "119:- 120:inside+0 129:inside+9 130:-"},
		{record(90, 230, ksymbolBPF, 0, "over"), "89:- 90:over+0 210:over+120 319:over+229 320:-"},
		{record(0, 90, ksymbolBPF, 0, "first"), "0:first+0 89:first+89 90:over+0"},
		{[]byte{recordKsymbol, 0, 0, 0}, "0:first+0"},
	} {
		l.note(step.rec)
		for _, want := range strings.Fields(step.want) {
			var addr uint64
			fmt.Sscan(strings.Split(want, ":")[0], &addr)
			got := fmt.Sprintf("%d:-", addr)
			if name, off, ok := l.at(addr); ok {
				got = fmt.Sprintf("%d:%s+%d", addr, name, off)
			}
			if !strings.HasPrefix(step.want, got) && !strings.Contains(step.want, " "+got) {
				t.Errorf("%q: %s, want %s", step.rec[min(len(step.rec), ksymbolFixed):], got, step.want)
			}
		}
	}
}
