package object

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/gotrace/gotrace/lang/source"
)

// Limits of bpf_line_info.line_col: 22 bits for the line, 10 for the column.
const (
	maxLine   = 1<<22 - 1
	maxColumn = 1<<10 - 1
)

// addLines attaches the line of the script to each instruction at which the code of
// another place in the script, or a function, starts. The kernel shows the lines in
// its verifier log and in dumps of the program. spans holds the source of each
// instruction by its raw number, where a 64-bit load counts twice. Lines that
// cannot be encoded are left out, as they only serve readers.
func addLines(insns asm.Instructions, spans []source.Span) {
	var (
		b       = &btf.Builder{}
		records []byte
		at      []int // instruction of each record
		last    lineKey
		strs    = lineStrings{b: b, known: map[string]uint32{}}
	)
	for iter := insns.Iterate(); iter.Next(); {
		n := int(iter.Offset)
		if n >= len(spans) {
			break
		}
		start := n == 0 || iter.Ins.Symbol() != ""
		key := last
		switch {
		case spans[n].IsValid():
			key = lineAt(spans[n])
		case start: // the kernel requires a line for each function
			key = firstLine(spans[n:], last)
		}
		if key == last && !start || key == (lineKey{}) {
			continue
		}
		last = key
		for _, word := range []uint32{
			uint32(n), strs.offset(key.file), strs.offset(key.text), uint32(min(key.line, maxLine)<<10 | min(key.col, maxColumn)),
		} {
			records = binary.NativeEndian.AppendUint32(records, word)
		}
		at = append(at, iter.Index)
	}
	if len(at) == 0 || strs.err != nil {
		return
	}
	// Package btf creates lines only from their encoded form.
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		return
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return
	}
	lines, err := btf.LoadLineInfos(bytes.NewReader(records), binary.NativeEndian, uint32(len(at)), spec)
	if err != nil {
		return
	}
	for i, l := range lines {
		insns[at[i]] = insns[at[i]].WithSource(l.Line)
	}
}

// lineKey is the position of an instruction in a script.
type lineKey struct {
	file, text string
	line, col  int
}

// firstLine returns the first known position in spans, or last if there is none.
func firstLine(spans []source.Span, last lineKey) lineKey {
	for _, s := range spans {
		if s.IsValid() {
			return lineAt(s)
		}
	}
	return last
}

// lineAt returns the position at which s starts.
func lineAt(s source.Span) lineKey {
	pos := s.File.Position(s.Start)
	return lineKey{s.File.Name, strings.TrimSpace(s.File.Line(pos.Line)), pos.Line, pos.Col}
}

// lineStrings adds strings to the string table of a BTF blob.
type lineStrings struct {
	b     *btf.Builder
	known map[string]uint32
	err   error
}

func (t *lineStrings) offset(s string) uint32 {
	if off, ok := t.known[s]; ok {
		return off
	}
	_, line, err := btf.MarshalExtInfos(asm.Instructions{asm.Return().WithSource(asm.Comment(s))}, t.b)
	if err != nil {
		t.err = err
		return 0
	}
	off := binary.NativeEndian.Uint32(line[8:]) // bpf_line_info.line_off
	t.known[s] = off
	return off
}
