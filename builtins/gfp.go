package builtins

import "strconv"

// appendGFP names the bits of a gfp_t. The kernel numbers them differently from
// release to release; these are the compound masks and bits of 6.x.
func appendGFP(dst []byte, flags uint64) []byte {
	return strconv.AppendUint(append(dst, "0x"...), flags, 16)
}
