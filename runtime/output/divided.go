package output

import (
	"math/big"

	"github.com/gotrace/gotrace/runtime/value"
)

// multiline reports whether a map's value starts on a line of its own.
func multiline(v value.Value) bool {
	switch v.(type) {
	case value.Hist, value.Series:
		return true
	}
	return false
}

// quotient returns n/div as the smallest kind of value that holds it.
func quotient(n, div *big.Int) value.Value {
	n.Quo(n, div)
	switch {
	case n.IsInt64():
		return value.Int(n.Int64())
	case n.IsUint64():
		return value.Uint(n.Uint64())
	}
	hi := new(big.Int).Rsh(n, 64)
	lo := new(big.Int).Sub(n, new(big.Int).Lsh(hi, 64))
	return value.Wide{Hi: hi.Int64(), Lo: lo.Uint64()}
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
		return quotient(v.Big(), big.NewInt(div))
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
