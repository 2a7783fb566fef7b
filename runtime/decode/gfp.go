package decode

import "strconv"

// gfpNames lists the names of the kernel's allocation flags
// (include/linux/gfp_types.h). A combination precedes its parts. The bits up to
// __GFP_ACCOUNT have not changed since Linux 5.10.
var gfpNames = []struct {
	bits uint64
	name string
}{
	{0x400cc0, "GFP_KERNEL_ACCOUNT"},
	{0x100cca, "GFP_HIGHUSER_MOVABLE"},
	{0x100cc2, "GFP_HIGHUSER"},
	{0x100cc0, "GFP_USER"},
	{0xcc0, "GFP_KERNEL"},
	{0xc40, "GFP_NOFS"},
	{0xc00, "GFP_NOIO"},
	{0x820, "GFP_ATOMIC"},
	{1 << 0, "GFP_DMA"},
	{1 << 1, "__GFP_HIGHMEM"},
	{1 << 2, "GFP_DMA32"},
	{1 << 3, "__GFP_MOVABLE"},
	{1 << 4, "__GFP_RECLAIMABLE"},
	{1 << 5, "__GFP_HIGH"},
	{1 << 6, "__GFP_IO"},
	{1 << 7, "__GFP_FS"},
	{1 << 8, "__GFP_ZERO"},
	{1 << 10, "__GFP_DIRECT_RECLAIM"},
	{1 << 11, "__GFP_KSWAPD_RECLAIM"},
	{1 << 12, "__GFP_WRITE"},
	{1 << 13, "__GFP_NOWARN"},
	{1 << 14, "__GFP_RETRY_MAYFAIL"},
	{1 << 15, "__GFP_NOFAIL"},
	{1 << 16, "__GFP_NORETRY"},
	{1 << 17, "__GFP_MEMALLOC"},
	{1 << 18, "__GFP_COMP"},
	{1 << 19, "__GFP_NOMEMALLOC"},
	{1 << 20, "__GFP_HARDWALL"},
	{1 << 21, "__GFP_THISNODE"},
	{1 << 22, "__GFP_ACCOUNT"},
	{1 << 23, "__GFP_ZEROTAGS"},
	{1 << 24, "__GFP_SKIP_ZERO"},
	{1 << 25, "__GFP_SKIP_KASAN"},
	{1 << 26, "__GFP_NO_OBJ_EXT"},
}

// appendGFP appends the names of the bits in a gfp_t. Bits without a name follow in
// hexadecimal.
func appendGFP(dst []byte, flags uint64) []byte {
	if flags == 0 {
		return append(dst, '0')
	}
	start := len(dst)
	for _, f := range gfpNames {
		if flags&f.bits == f.bits {
			if len(dst) > start {
				dst = append(dst, '|')
			}
			dst = append(dst, f.name...)
			flags &^= f.bits
		}
	}
	if flags == 0 {
		return dst
	}
	if len(dst) > start {
		dst = append(dst, '|')
	}
	return strconv.AppendUint(append(dst, "0x"...), flags, 16)
}
