package symbols

import (
	"bytes"
	"encoding/binary"

	"github.com/gotrace/gotrace/runtime/sorted"
)

// dumpReader reads a jitdump file: a header, and records of functions that were
// compiled or moved, with their lines.
type dumpReader struct {
	order binary.ByteOrder // nil: the header was not read yet
	bad   bool
	lines map[uint64][]jitLine // of functions whose record follows
}

// Parts of a jitdump file.
const (
	dumpMagic   = 0x4a695444
	dumpHeader  = 40 // smallest size of the header, in bytes
	recordSize  = 16 // of the header of a record
	codeLoad    = 0
	codeMove    = 1
	codeLines   = 2
	loadFixed   = 40      // bytes of a codeLoad record before the name
	moveFixed   = 48      // bytes of a codeMove record
	maxJitLines = 1 << 16 // of one function
)

// read appends the functions of the records in data to out. It returns the beginning
// of a record whose end is missing.
func (d *dumpReader) read(out []jitFunc, data []byte) (_ []jitFunc, rest []byte) {
	if d.order == nil && !d.bad {
		if len(data) < dumpHeader {
			return out, data
		}
		switch {
		case binary.LittleEndian.Uint32(data) == dumpMagic:
			d.order = binary.LittleEndian
		case binary.BigEndian.Uint32(data) == dumpMagic:
			d.order = binary.BigEndian
		default:
			d.bad = true
			return out, nil
		}
		size := uint64(d.order.Uint32(data[8:]))
		if size < dumpHeader || size > uint64(len(data)) {
			d.bad = true
			return out, nil
		}
		data = data[size:]
	}
	for !d.bad && len(data) >= recordSize {
		kind, size := d.order.Uint32(data), uint64(d.order.Uint32(data[4:]))
		if size < recordSize {
			d.bad = true // the records after this one cannot be found
			break
		}
		if size > uint64(len(data)) {
			return out, bytes.Clone(data)
		}
		body := data[recordSize:size]
		data = data[size:]
		switch {
		case len(out) >= maxJitFuncs:
		case kind == codeLoad && len(body) > loadFixed:
			out = append(out, d.load(body))
		case kind == codeMove && len(body) >= moveFixed:
			out = d.move(out, body)
		case kind == codeLines && len(body) >= 16:
			d.debug(body)
		}
	}
	if d.bad {
		return out, nil
	}
	return out, bytes.Clone(data)
}

func (d *dumpReader) load(body []byte) jitFunc {
	name, _, _ := bytes.Cut(body[loadFixed:], []byte{0})
	f := jitFunc{start: d.order.Uint64(body[16:]), size: d.order.Uint64(body[24:]), name: string(name[:min(len(name), maxJitName)])}
	if f.start+f.size < f.start {
		f.size = 0
	}
	f.lines = d.lines[f.start]
	delete(d.lines, f.start)
	return f
}

// move appends a function with the name of the function that was moved.
func (d *dumpReader) move(out []jitFunc, body []byte) []jitFunc {
	from, to, size := d.order.Uint64(body[16:]), d.order.Uint64(body[24:]), d.order.Uint64(body[32:])
	if to+size < to {
		return out
	}
	const near = 4096 // number of earlier functions that are searched
	for i := len(out) - 1; i >= max(0, len(out)-near); i-- {
		if out[i].start == from {
			return append(out, jitFunc{start: to, size: size, name: out[i].name})
		}
	}
	return out
}

// debug reads the lines of the function whose record comes next.
func (d *dumpReader) debug(body []byte) {
	addr, n := d.order.Uint64(body), d.order.Uint64(body[8:])
	body = body[16:]
	var lines []jitLine
	file := ""
	for ; n > 0 && len(body) > 16 && len(lines) < maxJitLines; n-- {
		name, after, ok := bytes.Cut(body[16:], []byte{0})
		if !ok {
			break
		}
		// The name 0xff stands for the previous name.
		if string(name) != "\xff" && string(name) != file {
			file = string(name[:min(len(name), maxJitName)])
		}
		lines = append(lines, jitLine{d.order.Uint64(body), file, int(d.order.Uint32(body[8:]))})
		body = after
	}
	sorted.By(lines, func(l *jitLine) uint64 { return l.addr })
	if d.lines == nil {
		d.lines = map[uint64][]jitLine{}
	}
	const waiting = 64 // functions whose lines are kept
	if len(d.lines) < waiting {
		d.lines[addr] = lines
	}
}
