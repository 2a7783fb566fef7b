package output

import "github.com/gotrace/gotrace/runtime/value"

// multiline reports whether a map's value starts on a line of its own.
func multiline(v value.Value) bool {
	switch v.(type) {
	case value.Hist, value.Series:
		return true
	}
	return false
}

// divided returns v with its integers divided by div, the third argument of print.
func divided(v value.Value, div int64) value.Value {
	if div == 0 || div == 1 {
		return v
	}
	switch v := v.(type) {
	case value.Int:
		return value.Int(int64(v) / div)
	case value.Uint:
		return value.Uint(uint64(v) / uint64(div))
	case value.Wide:
		return v.Quo(div)
	case value.Avg:
		return value.Avg{V: divided(v.V, div)}
	case value.Stats:
		v.Avg = divided(v.Avg, div)
		return v
	case value.Tuple:
		out := make(value.Tuple, len(v))
		for i, e := range v {
			out[i] = divided(e, div)
		}
		return out
	case value.Array:
		out := make(value.Array, len(v))
		for i, e := range v {
			out[i] = divided(e, div)
		}
		return out
	case value.Record:
		out := make(value.Record, len(v))
		for i, f := range v {
			out[i] = value.Field{Name: f.Name, V: divided(f.V, div)}
		}
		return out
	case value.Hist:
		if v.Linear {
			return v
		}
		out := value.Hist{Buckets: make([]value.Bucket, len(v.Buckets))}
		for i, k := range v.Buckets {
			k.Count /= uint64(div)
			out.Buckets[i] = k
		}
		return out
	}
	return v
}
