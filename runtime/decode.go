package runtime

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// Decode turns the bytes of a value of type t into something printable. Types
// that belong to a builtin are decoded by it. Too few bytes give Null.
func (e *env) Decode(t *types.Type, data []byte) value.Value {
	if t == nil || len(data) < t.Size {
		return value.Null{}
	}
	switch t.Kind {
	case types.Bool:
		return value.Bool(data[0] != 0)
	case types.Int:
		return integer(t, unsignedAt(data, t.Size))
	case types.Enum:
		return enum(t, unsignedAt(data, t.Size))
	case types.Pointer:
		return value.Ptr(unsignedAt(data, t.Size))
	case types.String:
		s := cString(data[:t.Size])
		return value.Str{S: string(s), Truncated: len(s) == t.Size && t.Size > 0}
	case types.Buffer:
		n := min(int(binary.NativeEndian.Uint32(data)), t.Size-4)
		return value.Bytes(append([]byte(nil), data[4:4+n]...))
	case types.Array:
		out := make(value.Array, t.Len)
		for i := range out {
			out[i] = e.Decode(t.Elem, data[i*t.Elem.Size:])
		}
		return out
	case types.Tuple:
		out := make(value.Tuple, len(t.Fields))
		for i, f := range t.Fields {
			out[i] = e.Decode(f.Type, data[f.Off:])
		}
		return out
	case types.Record, types.Struct:
		return e.record(nil, t, data)
	case types.Opaque, types.Agg:
		if d := e.s.obj.Defs.ForType(t.Name); d != nil && d.Format != nil {
			return d.Format(e, t, data[:t.Size])
		}
	}
	return value.Null{}
}

// record appends t's members to rec. Members of anonymous structs and unions
// count as t's own.
func (e *env) record(rec value.Record, t *types.Type, data []byte) value.Record {
	for _, f := range t.Members() {
		if f.Off > len(data) {
			continue
		}
		at := data[f.Off:]
		switch {
		case f.BitSize > 0:
			rec = append(rec, value.Field{Name: f.Name, V: bitfield(f, at)})
		case f.Name == "" && f.Type.Kind == types.Struct:
			rec = e.record(rec, f.Type, at)
		default:
			rec = append(rec, value.Field{Name: f.Name, V: e.Decode(f.Type, at)})
		}
	}
	return rec
}

func bitfield(f types.Field, data []byte) value.Value {
	t := f.Type
	if len(data) < t.Size || f.BitSize > 64 {
		return value.Null{}
	}
	v := unsignedAt(data, t.Size) >> f.BitOff
	shift := 64 - f.BitSize
	v = v << shift
	if t.Signed {
		v = uint64(int64(v) >> shift)
	} else {
		v >>= shift
	}
	switch t.Kind {
	case types.Bool:
		return value.Bool(v != 0)
	case types.Enum:
		return enumOf(t, int64(v))
	}
	if t.Signed {
		return value.Int(v)
	}
	return value.Uint(v)
}

func integer(t *types.Type, v uint64) value.Value {
	if t.Signed {
		shift := 64 - 8*t.Size
		return value.Int(int64(v<<shift) >> shift)
	}
	return value.Uint(v)
}

func enum(t *types.Type, v uint64) value.Value {
	n := int64(v)
	if t.Signed {
		shift := 64 - 8*t.Size
		n = int64(v<<shift) >> shift
	}
	return enumOf(t, n)
}

func enumOf(t *types.Type, n int64) value.Value {
	name := ""
	if t.Consts != nil {
		name = t.Consts.Name(n)
	}
	return value.Enum{Name: name, V: n}
}
