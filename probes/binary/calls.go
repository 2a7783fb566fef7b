package binary

import "encoding/binary"

// longestCall is the size of the longest call that CallBefore knows.
const longestCall = 7

// CallBefore reports whether the instruction before an address is a call, as it is before a
// return address. target is the address of the called function, or 0 if the instruction does
// not contain it. On machines other than amd64 and 386 no call is found.
func (x *File) CallBefore(addr uint64) (target uint64, ok bool) {
	if arch := x.Arch(); arch != "amd64" && arch != "EM_386" {
		return 0, false
	}
	var code []byte
	for n := uint64(longestCall); len(code) == 0 && n > 0; n-- { // the code may start right before
		code = x.codeAt(addr-n, int(n))
	}
	if at := len(code) - 5; at >= 0 && code[at] == 0xe8 {
		return addr + uint64(int64(int32(binary.LittleEndian.Uint32(code[at+1:])))), true
	}
	// A call through a register or memory is 0xff and a byte with 2 in its middle bits. The
	// other bits tell how many bytes follow.
	for n := 2; n <= len(code); n++ {
		op, how := code[len(code)-n], code[len(code)-n+1]
		if op == 0xff && how>>3&7 == 2 && n == 2+operandBytes(how) {
			return 0, true
		}
	}
	return 0, false
}

// operandBytes returns the number of bytes that follow the byte how of an instruction of
// amd64 with an operand in a register or in memory.
func operandBytes(how byte) (n int) {
	mod, rm := how>>6, how&7
	if mod != 3 && rm == 4 {
		n = 1 // a byte with the index register
	}
	switch {
	case mod == 1:
		n++
	case mod == 2, mod == 0 && rm == 5:
		n += 4
	}
	return n
}
