package ir

import "math/bits"

// Eval returns the result of an arithmetic op or comparison. Ops with one operand
// ignore y.
func Eval(op Op, x, y uint64) uint64 {
	truth := func(b bool) uint64 {
		if b {
			return 1
		}
		return 0
	}
	switch op {
	case OpAdd:
		return x + y
	case OpSub:
		return x - y
	case OpMul:
		return x * y
	case OpUDiv:
		if y == 0 {
			return 0
		}
		return x / y
	case OpUMod:
		if y == 0 {
			return x
		}
		return x % y
	case OpSDiv:
		switch int64(y) {
		case 0:
			return 0
		case -1:
			return -x
		}
		return uint64(int64(x) / int64(y))
	case OpSMod:
		switch int64(y) {
		case 0:
			return x
		case -1:
			return 0
		}
		return uint64(int64(x) % int64(y))
	case OpAnd:
		return x & y
	case OpOr:
		return x | y
	case OpXor:
		return x ^ y
	case OpShl:
		return x << (y & 63)
	case OpShr:
		return x >> (y & 63)
	case OpSar:
		return uint64(int64(x) >> (y & 63))
	case OpNeg:
		return -x
	case OpSext8:
		return uint64(int8(x))
	case OpSext16:
		return uint64(int16(x))
	case OpSext32:
		return uint64(int32(x))
	case OpZext8:
		return uint64(uint8(x))
	case OpZext16:
		return uint64(uint16(x))
	case OpZext32:
		return uint64(uint32(x))
	case OpBswap16:
		return uint64(bits.ReverseBytes16(uint16(x)))
	case OpBswap32:
		return uint64(bits.ReverseBytes32(uint32(x)))
	case OpBswap64:
		return bits.ReverseBytes64(x)
	case OpEq:
		return truth(x == y)
	case OpNe:
		return truth(x != y)
	case OpULt:
		return truth(x < y)
	case OpULe:
		return truth(x <= y)
	case OpSLt:
		return truth(int64(x) < int64(y))
	case OpSLe:
		return truth(int64(x) <= int64(y))
	}
	panic("ir: not arithmetic: " + op.String())
}
