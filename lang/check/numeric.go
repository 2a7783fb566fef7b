package check

import (
	"math"

	"github.com/gotrace/gotrace/lang/types"
)

// literalType returns the type of the literal n. If unsigned is set, n holds the bits
// of a uint64 above the signed range. A literal that is not negative has a type from
// int8 to int64, but adopts the sign of the other operand. It does so even as part of a
// tuple or a variable, until it is joined with a type that has a sign.
func literalType(n int64, unsigned bool) *types.Type {
	if unsigned && n < 0 {
		return litType(8, false, types.OwnSign)
	}
	size := 8
	switch {
	case n >= math.MinInt8 && n <= math.MaxInt8:
		size = 1
	case n >= math.MinInt16 && n <= math.MaxInt16:
		size = 2
	case n >= math.MinInt32 && n <= math.MaxInt32:
		size = 4
	}
	if n < 0 {
		return litType(size, true, types.OwnSign)
	}
	return litType(size, true, types.FreeSign)
}

func litType(size int, signed bool, lit types.Literal) *types.Type {
	return &types.Type{Kind: types.Int, Size: size, Signed: signed, Lit: lit}
}

// free reports whether t is the type of a literal that has no sign of its own.
func free(t *types.Type) bool { return t != nil && t.Lit == types.FreeSign }

// isLiteralType reports whether t is the type of a literal or of several folded
// literals.
func isLiteralType(t *types.Type) bool { return t != nil && t.Lit != types.NoLiteral }

// plain returns the ordinary integer type for the type of a literal, and any other type
// unchanged.
//
//go:noinline
func plain(t *types.Type) *types.Type {
	if isLiteralType(t) {
		return types.NewInt(t.Size, t.Signed)
	}
	return t
}

// asInt returns the integer type in which operations on an integer, enum or boolean are
// computed.
func asInt(t *types.Type) *types.Type {
	switch t.Kind {
	case types.Enum:
		return types.NewInt(max(t.Size, 1), t.Signed)
	case types.Bool:
		return litType(1, true, types.FreeSign)
	}
	return t
}

// joinInts returns the smallest integer type that holds the values of both. For
// int64 and uint64 there is none, and it returns int64.
func joinInts(a, b *types.Type) *types.Type {
	a, b = asInt(a), asInt(b)
	if a.Signed == b.Signed {
		if a.Word && a.Size == b.Size { // known to be a whole word
			return b
		}
		switch {
		case free(a) && !free(b):
			a, b = b, a
			if a.Size >= b.Size {
				return a
			}
			return types.NewInt(b.Size, true)
		case b.Size > a.Size:
			if free(b) && !free(a) {
				return plain(b)
			}
			return b
		}
		return a
	}
	s, u := a, b
	if !s.Signed {
		s, u = b, a
	}
	switch {
	case free(s):
		if u.Size >= s.Size {
			return u
		}
		return types.NewInt(s.Size, false)
	case s.Size > u.Size:
		return plain(s)
	}
	return types.NewInt(min(8, 2*u.Size), true)
}

// holds reports whether every value of from is a value of to.
func holds(to, from *types.Type) bool {
	to, from = asInt(to), asInt(from)
	switch {
	case from.Word: // its sign is not known
		return to.Size >= from.Size
	case to.Signed == from.Signed:
		return to.Size >= from.Size
	case to.Signed:
		return to.Size > from.Size
	}
	return free(from) && to.Size >= from.Size
}

// fits reports whether the integer n is a value of t. If unsigned is set, n
// holds the bits of a uint64.
func fits(t *types.Type, n int64, unsigned bool) bool {
	t = asInt(t)
	bits := uint(t.Size * 8)
	if unsigned && n < 0 {
		return !t.Signed && t.Size == 8
	}
	if t.Signed {
		return bits == 64 || n >= -1<<(bits-1) && n < 1<<(bits-1)
	}
	return n >= 0 && (bits == 64 || n < 1<<bits)
}

// truncate returns n converted to t, wrapped around as by a cast. unsigned is set if the
// result holds the bits of a uint64 above the signed range.
func truncate(t *types.Type, n int64) (v int64, unsigned bool) {
	t = asInt(t)
	shift := uint(64 - t.Size*8)
	if t.Signed {
		return n << shift >> shift, false
	}
	u := uint64(n) << shift >> shift
	return int64(u), u > math.MaxInt64
}
