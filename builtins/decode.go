package builtins

import (
	"bytes"
	"encoding/binary"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// Decode turns the bytes of a value of type t, as programs leave them in
// records and maps, into a printable value. Builtins' own types are decoded by
// their Format. Too few bytes give a Null, never a panic; of strings and
// buffers, those in use are enough.
func Decode(reg *Registry, env Env, t *types.Type, data []byte) value.Value {
	switch {
	case t == nil:
		return value.Null{}
	case t.Kind == types.Agg && inParts(reg, t, data):
	case len(data) >= t.Size:
		data = data[:t.Size]
	case len(data) == 0 || t.Kind != types.String && t.Kind != types.Buffer:
		return value.Null{}
	}
	switch t.Kind {
	case types.Bool:
		return value.Bool(integer(t, data) != 0)
	case types.Int:
		return number(t.Signed, integer(t, data))
	case types.Enum:
		e := value.Enum{V: int64(integer(t, data))}
		if t.Consts != nil {
			e.Name = t.Consts.Name(e.V)
		}
		return e
	case types.Pointer:
		return value.Ptr(integer(t, data))
	case types.String:
		s := text(data)
		return value.Str{S: string(s), Truncated: truncated(env, t, len(s))}
	case types.Buffer:
		return value.Bytes(bytes.Clone(bufferBytes(data)))
	case types.Array:
		return decodeArray(reg, env, t, data)
	case types.Tuple:
		v := make(value.Tuple, len(t.Fields))
		for i, f := range t.Fields {
			v[i] = Decode(reg, env, f.Type, from(data, f.Off))
		}
		return v
	case types.Record, types.Struct:
		return decodeMembers(reg, env, t, data, 0, make(value.Record, 0, len(t.Members())))
	case types.Opaque, types.Agg:
		if reg != nil {
			if d := reg.ForType(t.Name); d != nil && d.Format != nil {
				return d.Format(env, t, data)
			}
		}
	}
	return value.Null{}
}

func decodeArray(reg *Registry, env Env, t *types.Type, data []byte) value.Value {
	if isText(t) {
		return value.Str{S: string(text(data))}
	}
	v := make(value.Array, 0, max(t.Len, 0))
	for i := range t.Len {
		v = append(v, Decode(reg, env, t.Elem, from(data, i*t.Elem.Size)))
	}
	return v
}

// isText reports whether an array is C text.
func isText(t *types.Type) bool {
	return t.Kind == types.Array && t.Elem.Kind == types.Int && t.Elem.Size == 1 && t.Elem.Name == "char"
}

// decodeMembers appends the members of an object at off; those of anonymous
// structs and unions as if they were its own.
func decodeMembers(reg *Registry, env Env, t *types.Type, data []byte, off int, rec value.Record) value.Record {
	for _, f := range t.Members() {
		at := off + f.Off
		switch {
		case f.Name == "" && f.Type.Kind == types.Struct:
			rec = decodeMembers(reg, env, f.Type, data, at, rec)
		case f.Name == "": // padding
		case f.DataLoc || f.RelLoc: // its bytes are elsewhere
			rec = append(rec, value.Field{Name: f.Name, V: value.Null{}})
		case f.BitSize > 0:
			rec = append(rec, value.Field{Name: f.Name, V: decodeBits(reg, env, f, from(data, at))})
		default:
			rec = append(rec, value.Field{Name: f.Name, V: Decode(reg, env, f.Type, from(data, at))})
		}
	}
	return rec
}

// decodeBits decodes a bitfield by bringing it into its type's own form.
func decodeBits(reg *Registry, env Env, f types.Field, data []byte) value.Value {
	if len(data) < f.Type.Size || f.Type.Size > 8 || f.BitSize > 64 {
		return value.Null{}
	}
	unsigned := types.Type{Kind: types.Int, Size: f.Type.Size}
	x := integer(&unsigned, data) >> f.BitOff
	up := 64 - f.BitSize
	if f.Type.Signed {
		x = uint64(int64(x<<up) >> up)
	} else {
		x = x << up >> up
	}
	buf := make([]byte, f.Type.Size)
	switch f.Type.Size {
	case 1:
		buf[0] = byte(x)
	case 2:
		binary.NativeEndian.PutUint16(buf, uint16(x))
	case 4:
		binary.NativeEndian.PutUint32(buf, uint32(x))
	case 8:
		binary.NativeEndian.PutUint64(buf, x)
	}
	return Decode(reg, env, f.Type, buf)
}

// from is data behind off; nothing where it ends before that.
func from(data []byte, off int) []byte {
	if off < 0 || off > len(data) {
		return nil
	}
	return data[off:]
}

// text is the bytes of a string before its NUL.
func text(data []byte) []byte {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return data[:i]
	}
	return data
}

// truncated reports whether a string of type t and n bytes was cut by
// max_strlen: only the type of such strings has room for just that much.
func truncated(env Env, t *types.Type, n int) bool {
	return env != nil && n > 0 && n == t.Size-1 && n == env.Settings().MaxStrlen
}

// bufferBytes are the bytes of a buffer: a u32 count, then the data.
func bufferBytes(data []byte) []byte {
	if len(data) < 4 {
		return nil
	}
	n := int(min(binary.NativeEndian.Uint32(data), uint32(len(data)-4)))
	return data[4 : 4+n]
}

// inParts reports whether data is a row of parts of an aggregation: as many as
// were used, in any order.
func inParts(reg *Registry, t *types.Type, data []byte) bool {
	if reg == nil {
		return false
	}
	d := reg.ForType(t.Name)
	return d != nil && d.PartSize > 0 && len(data) > 0 && len(data)%d.PartSize == 0
}
