// Package layout reads the records and map values of programs that were written
// to an ELF file by gotrace --emit-elf.
//
// Such a file has a section named .gotrace, which contains a Layout in JSON. A
// program that has loaded the file with cilium/ebpf reads the layout with Read, and
// decodes records of the ring buffer with Decode:
//
//	l, err := layout.Read("tool.o")
//	...
//	rec, err := reader.Read() // github.com/cilium/ebpf/ringbuf
//	ev, err := l.Decode(rec.RawSample)
//	fmt.Println(ev.Builtin, ev.Args)
//
// # Records
//
// A record of the ring buffer "events" starts with two 32-bit words in the
// machine's byte order: the number of the event, an index into Layout.Events,
// and a word for the event's builtin. Each argument is at the offset that its
// description gives. At the offset of a packed argument is a 32-bit length. The
// bytes of all packed arguments follow the fixed part of the record (Event.Size
// bytes), in the order of the arguments and without padding.
//
// # Maps
//
// A map of the script is stored in one of these ways, which Map.Kept names:
//
//	slot            at Off in the section .data.<Kernel>
//	per-CPU slot    at Off in each CPU's value of the array <Kernel>
//	hash            in the hash map <Kernel>, by key; if PerCPU is set, with a
//	                value for each CPU
//	split           the same, but keys of up to 64 bytes are in <Short>
//	parted          in parts of Part bytes; the number of the part, a u64,
//	                follows the key
//
// If keys are longer than four bytes, they are padded with zeros to whole 8-byte
// words. If Number is not 0, several maps share the hash map: the number, a u64,
// precedes the key, and keys and values are padded to the sizes of the hash map. The
// reader must merge the values of the CPUs. Counts and sums are added up.
package layout

import (
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strings"

	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Version is the version of the layout that this package reads and writes.
const Version = 1

// Section is the ELF section that holds the layout.
const Section = ".gotrace"

// Layout describes the records that the programs in a file send and the maps that
// they keep.
type Layout struct {
	Version int     `json:"version"`
	Events  []Event `json:"events"`
	Maps    []Map   `json:"maps"`
}

// Event is one place in the script that sends records.
type Event struct {
	Builtin string `json:"builtin"`        // "printf", "print", "exit" …
	Source  string `json:"source"`         // "script.bt:3:5-40"
	Text    string `json:"text,omitempty"` // the call in the script
	Size    int    `json:"size"`           // bytes of the fixed part, including the header
	Args    []Arg  `json:"args"`

	// Format is the format string of printf and similar builtins. FormatArgs are
	// the arguments of its conversions.
	Format     string      `json:"format,omitempty"`
	FormatArgs []FormatArg `json:"format_args,omitempty"`
}

// FormatArg is the argument of a conversion: the argument with index Arg or, if Arg
// is -1, a value known at compile time.
type FormatArg struct {
	Arg   int `json:"arg"`
	Value any `json:"value,omitempty"`
}

// Arg is one argument of an event.
type Arg struct {
	Type   Type `json:"type"`
	Off    int  `json:"off"`
	Packed bool `json:"packed,omitempty"`
}

// Map is one map of the script.
type Map struct {
	Name   string `json:"name"` // including the @
	Kept   string `json:"kept"`
	Kernel string `json:"kernel"`          // name of the kernel map
	Short  string `json:"short,omitempty"` // name of the kernel map for short keys
	PerCPU bool   `json:"per_cpu,omitempty"`
	Off    int    `json:"off,omitempty"`
	Number int    `json:"number,omitempty"`
	Part   int    `json:"part,omitempty"`
	Key    *Type  `json:"key,omitempty"`
	Value  Type   `json:"value"`
}

// Type describes how to decode the bytes of a value. Kind is one of
//
//	int uint bool   Size bytes
//	enum            Size bytes; Names has the constants
//	pointer         8 bytes
//	string          up to Size bytes, to the first NUL
//	buffer          a 32-bit length, then that many bytes of Size-4
//	array           Len elements of type Elem
//	tuple record struct   Fields
//	other           Size bytes of the builtin type Name (ustack, ksym, hist …)
type Type struct {
	Kind   string           `json:"kind"`
	Name   string           `json:"name,omitempty"`
	Size   int              `json:"size"`
	Len    int              `json:"len,omitempty"`
	Elem   *Type            `json:"elem,omitempty"`
	Fields []Field          `json:"fields,omitempty"`
	Names  map[int64]string `json:"names,omitempty"`
	Params []int64          `json:"params,omitempty"` // parameters of a builtin type, such as hist or lhist
}

// Field is a member of a tuple, record or struct.
type Field struct {
	Name    string `json:"name"`
	Type    Type   `json:"type"`
	Off     int    `json:"off"`
	BitOff  int    `json:"bit_off,omitempty"`
	BitSize int    `json:"bit_size,omitempty"`
}

// Decoded is a record with the values of its arguments. A value is an int64,
// uint64, bool, string or []byte, an []any for arrays and tuples, or a
// map[string]any for records and structs. A value of a builtin type is a []byte.
type Decoded struct {
	*Event
	Aux  uint32 // the header's second word
	Args []any
}

// Read reads the layout from an ELF file.
func Read(path string) (*Layout, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(Section)
	if s == nil {
		return nil, outline.Errorf("%s has no section %s: it was not written by gotrace --emit-elf", path, Section)
	}
	data, err := s.Data()
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// Parse parses the layout from the contents of its section.
func Parse(data []byte) (*Layout, error) {
	l := &Layout{}
	if err := json.Unmarshal(data, l); err != nil {
		return nil, outline.Errorf("layout: %w", err)
	}
	if l.Version != Version {
		return nil, outline.Errorf("layout: version %d, this package reads version %d", l.Version, Version)
	}
	return l, nil
}

// Encode returns the layout as the contents of its section.
func (l *Layout) Encode() ([]byte, error) {
	l.Version = Version
	return json.Marshal(l)
}

var errShort = errors.New("layout: the record is shorter than its description")

const headerSize = 8

// Decode decodes a record of the ring buffer.
func (l *Layout) Decode(record []byte) (*Decoded, error) {
	if len(record) < headerSize {
		return nil, errShort
	}
	n := binary.NativeEndian.Uint32(record)
	if uint64(n) >= uint64(len(l.Events)) {
		return nil, outline.Errorf("layout: event %d of %d", n, len(l.Events))
	}
	ev := &l.Events[n]
	if ev.Size < headerSize || len(record) < ev.Size {
		return nil, errShort
	}
	out := &Decoded{Event: ev, Aux: binary.NativeEndian.Uint32(record[4:]), Args: make([]any, len(ev.Args))}
	packed := record[ev.Size:]
	for i := range ev.Args {
		a := &ev.Args[i]
		data, err := part(record, a.Off, a.Type.Size)
		if a.Packed {
			data, packed, err = takePacked(record, packed, a)
		}
		if err != nil {
			return nil, err
		}
		if out.Args[i], err = a.Type.decode(data, a.Packed); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// takePacked returns the bytes of a packed argument and the bytes that follow them.
func takePacked(record, packed []byte, a *Arg) (data, rest []byte, err error) {
	b, err := part(record, a.Off, 4)
	if err != nil {
		return nil, nil, err
	}
	n := min(uint64(binary.NativeEndian.Uint32(b)), uint64(max(a.Type.Size, 0)), uint64(len(packed)))
	return packed[:n], packed[n:], nil
}

func part(data []byte, off, size int) ([]byte, error) {
	if off < 0 || size < 0 || off > len(data) || size > len(data)-off {
		return nil, errShort
	}
	return data[off : off+size], nil
}

// Decode decodes a key or value of a map.
func (t *Type) Decode(data []byte) (any, error) { return t.decode(data, false) }

// decode decodes a value. If packed is set, data may end before the value's full
// size.
func (t *Type) decode(data []byte, packed bool) (any, error) {
	if !packed {
		var err error
		if data, err = part(data, 0, t.Size); err != nil {
			return nil, err
		}
	}
	switch t.Kind {
	case "int":
		return native.Int(data), nil
	case "uint", "pointer":
		return native.Uint(data), nil
	case "bool":
		return native.Uint(data) != 0, nil
	case "enum":
		v := native.Int(data)
		if name := t.Names[v]; name != "" {
			return name, nil
		}
		return v, nil
	case "string":
		s, _, _ := strings.Cut(string(data), "\x00")
		return s, nil
	case "buffer":
		if packed {
			return append([]byte(nil), data...), nil
		}
		if len(data) < 4 {
			return nil, errShort
		}
		n := min(uint64(binary.NativeEndian.Uint32(data)), uint64(len(data)-4))
		return append([]byte(nil), data[4:4+n]...), nil
	case "array":
		return t.decodeArray(data)
	case "tuple":
		out := make([]any, len(t.Fields))
		for i := range t.Fields {
			v, err := t.Fields[i].decode(data)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	case "record", "struct":
		out := make(map[string]any, len(t.Fields))
		for i := range t.Fields {
			v, err := t.Fields[i].decode(data)
			if err != nil {
				return nil, err
			}
			out[t.Fields[i].Name] = v
		}
		return out, nil
	}
	return append([]byte(nil), data...), nil
}

func (t *Type) decodeArray(data []byte) (any, error) {
	if t.Elem == nil || t.Len < 0 || t.Elem.Size <= 0 && t.Len > 0 {
		return nil, outline.Errorf("layout: an array of %d elements of no size", t.Len)
	}
	if uint64(t.Len)*uint64(t.Elem.Size) > uint64(len(data)) {
		return nil, errShort
	}
	out := make([]any, t.Len)
	for i := range out {
		v, err := t.Elem.Decode(data[i*t.Elem.Size:])
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (f *Field) decode(data []byte) (any, error) {
	data, err := part(data, f.Off, f.Type.Size)
	if err != nil {
		return nil, err
	}
	if f.BitSize <= 0 {
		return f.Type.Decode(data)
	}
	if f.BitOff < 0 || f.BitOff+f.BitSize > 8*len(data) || f.BitSize > 64 {
		return nil, outline.Errorf("layout: bits %d to %d of %d bytes", f.BitOff, f.BitOff+f.BitSize, len(data))
	}
	v := native.Uint(data) >> f.BitOff & (math.MaxUint64 >> (64 - f.BitSize))
	if f.Type.Kind == "int" {
		return int64(v<<(64-f.BitSize)) >> (64 - f.BitSize), nil
	}
	return v, nil
}
