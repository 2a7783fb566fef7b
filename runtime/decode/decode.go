// Package decode decodes the bytes that programs send in records and store in maps.
// It turns them into values, and into text with printf's conversions.
package decode

import (
	"bytes"
	"encoding/binary"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/value"
)

// Decoder decodes values. Its fields hold the information that is not in the bytes
// and their type.
type Decoder struct {
	// MaxStrlen is the size in bytes, without the NUL, of strings that may have
	// been truncated; 0 if none can be. Trailer follows the text of truncated
	// strings.
	MaxStrlen int
	Trailer   string
	// Builtin decodes a value of a builtin's type (Opaque, Agg).
	Builtin func(t *types.Type, data []byte) value.Value
	// Text returns a value as %s shows it.
	Text func(v value.Value) string
}

// Value decodes a value of type t. If data is too short, it returns Null. Strings
// and buffers may end after the bytes in use.
func (d *Decoder) Value(t *types.Type, data []byte) value.Value {
	switch {
	case t == nil:
		return value.Null{}
	case t.Kind == types.Opaque || t.Kind == types.Agg:
		return d.Builtin(t, data)
	case len(data) >= t.Size:
		data = data[:t.Size]
	case len(data) == 0 || t.Kind != types.String && t.Kind != types.Buffer:
		return value.Null{}
	}
	switch t.Kind {
	case types.Bool:
		return value.Bool(Integer(t, data) != 0)
	case types.Int:
		return Number(t.Signed, Integer(t, data))
	case types.Enum:
		e := value.Enum{V: int64(Integer(t, data))}
		if t.Consts != nil {
			e.Name = t.Consts.Name(e.V)
		}
		return e
	case types.Pointer:
		return value.Ptr(Integer(t, data))
	case types.String:
		s := Text(data)
		return value.Str{S: string(s), Truncated: d.truncated(t, len(s))}
	case types.Buffer:
		return value.Bytes(bytes.Clone(Buffer(data)))
	case types.Array:
		return d.array(t, data)
	case types.Tuple:
		v := make(value.Tuple, len(t.Fields))
		for i, f := range t.Fields {
			v[i] = d.Value(f.Type, from(data, f.Off))
		}
		return v
	case types.Record, types.Struct:
		return d.members(t, data, 0, make(value.Record, 0, len(t.Members())))
	}
	return value.Null{}
}

func (d *Decoder) array(t *types.Type, data []byte) value.Value {
	if IsText(t) {
		return value.Str{S: string(Text(data))}
	}
	v := make(value.Array, 0, max(t.Len, 0))
	for i := range t.Len {
		v = append(v, d.Value(t.Elem, from(data, i*t.Elem.Size)))
	}
	return v
}

// IsText reports whether t is an array of characters, which holds text in C.
func IsText(t *types.Type) bool {
	return t.Kind == types.Array && t.Elem.Kind == types.Int && t.Elem.Size == 1 && t.Elem.Name == "char"
}

// members appends the members of an object at offset off to rec. Members of
// anonymous structs and unions are appended as members of the object itself.
func (d *Decoder) members(t *types.Type, data []byte, off int, rec value.Record) value.Record {
	for _, f := range t.Members() {
		at := off + f.Off
		switch {
		case f.Name == "" && f.Type.Kind == types.Struct:
			rec = d.members(f.Type, data, at, rec)
		case f.Name == "": // padding
		case f.Recorded() && f.Copy == 0: // its bytes are not in the object
			rec = append(rec, value.Field{Name: f.Name, V: value.Null{}})
		case f.Recorded():
			rec = append(rec, value.Field{Name: f.Name, V: d.Value(f.Type, from(data, off+f.Copy))})
		case f.BitSize > 0:
			rec = append(rec, value.Field{Name: f.Name, V: d.bits(f, from(data, at))})
		default:
			rec = append(rec, value.Field{Name: f.Name, V: d.Value(f.Type, from(data, at))})
		}
	}
	return rec
}

// bits decodes a bitfield as a value of its type.
func (d *Decoder) bits(f types.Field, data []byte) value.Value {
	if len(data) < f.Type.Size || f.Type.Size > 8 || f.BitSize > 64 {
		return value.Null{}
	}
	unsigned := types.Type{Kind: types.Int, Size: f.Type.Size}
	x := Integer(&unsigned, data) >> f.BitOff
	up := 64 - f.BitSize
	if f.Type.Signed {
		x = uint64(int64(x<<up) >> up)
	} else {
		x = x << up >> up
	}
	buf := make([]byte, f.Type.Size)
	native.PutUint(buf, x)
	return d.Value(f.Type, buf)
}

// from returns data from off on, or nothing if data is shorter.
func from(data []byte, off int) []byte {
	if off < 0 || off > len(data) {
		return nil
	}
	return data[off:]
}

// Text returns the bytes of a string up to its NUL.
func Text(data []byte) []byte {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return data[:i]
	}
	return data
}

// truncated reports whether a string of type t with n bytes was truncated. Only the
// type of such strings has room for exactly that many bytes.
func (d *Decoder) truncated(t *types.Type, n int) bool {
	return n > 0 && n == t.Size-1 && n == d.MaxStrlen
}

// Buffer returns the bytes of a buffer. They follow their number, a u32.
func Buffer(data []byte) []byte {
	if len(data) < 4 {
		return nil
	}
	n := int(min(binary.NativeEndian.Uint32(data), uint32(len(data)-4)))
	return data[4 : 4+n]
}

// Number returns x as a signed or unsigned integer.
func Number(signed bool, x uint64) value.Value {
	if signed {
		return value.Int(x)
	}
	return value.Uint(x)
}
