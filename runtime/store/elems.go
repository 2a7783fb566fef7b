package store

import (
	"math"
	"syscall"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// This file has the map operations of bpf(2) on plain bytes. The layouts of a script's
// keys and values are not Go types, so typed access has no advantage. It also cannot read
// the per-CPU values of many entries at a time.

const (
	cmdLookup      = 1
	cmdUpdate      = 2
	cmdDelete      = 3
	cmdNextKey     = 4
	cmdLookupBatch = 24
)

// Pointers in the kernel's structs have pointer types here (they are 64 bits wide on all
// supported machines). So the garbage collector knows them, and their targets are updated
// when a stack moves.
type elemAttr struct {
	fd    uint32
	_     uint32
	key   unsafe.Pointer
	value unsafe.Pointer
	flags uint64
}

type batchAttr struct {
	in, out      unsafe.Pointer
	keys, values unsafe.Pointer
	count, fd    uint32
	elemFlags    uint64
	flags        uint64
}

func sysBPF(cmd uintptr, attr unsafe.Pointer, size uintptr) error {
	for {
		_, _, errno := syscall.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
		if errno == unix.EINTR || errno == unix.EAGAIN {
			continue
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
}

func elemOp(cmd uintptr, m *ebpf.Map, key, val []byte, flags uint64) error {
	a := elemAttr{
		fd: uint32(m.FD()), flags: flags,
		key: unsafe.Pointer(unsafe.SliceData(key)), value: unsafe.Pointer(unsafe.SliceData(val)),
	}
	return sysBPF(cmd, unsafe.Pointer(&a), unsafe.Sizeof(a))
}

//go:noinline
func LookupElem(m *ebpf.Map, key, val []byte) error { return elemOp(cmdLookup, m, key, val, 0) }

func UpdateElem(m *ebpf.Map, key, val []byte, flags uint64) error {
	return elemOp(cmdUpdate, m, key, val, flags)
}

// slab allocates small pieces of memory that are freed together.
type slab struct{ free []byte }

// make returns n zero bytes.
func (s *slab) make(n int) []byte {
	if len(s.free) < n {
		s.free = make([]byte, max(n, 64<<10))
	}
	b := s.free[:n:n]
	s.free = s.free[n:]
	return b
}

func DeleteElem(m *ebpf.Map, key []byte) error { return elemOp(cmdDelete, m, key, nil, 0) }

func NextKey(m *ebpf.Map, key, next []byte) error { return elemOp(cmdNextKey, m, key, next, 0) }

// At most maxBatch entries are requested at a time, and fewer if their values take more
// than batchBytes.
const (
	maxBatch   = 4096
	batchBytes = 1 << 20
)

// eachElem calls f for all entries of a hash map, until f returns false. f may keep key,
// but not val. Entries that are added or deleted meanwhile may be left out.
func eachElem(m *ebpf.Map, keySize, valSize int, f func(key, val []byte) bool) error {
	n := min(int(m.MaxEntries()), max(16, min(batchBytes/max(valSize, 1), maxBatch)))
	cursor := make([]byte, max(keySize, 4))
	vals := make([]byte, n*valSize)
	for first := true; ; {
		keys := make([]byte, n*keySize)
		a := batchAttr{
			out:  unsafe.Pointer(&cursor[0]),
			keys: unsafe.Pointer(&keys[0]), values: unsafe.Pointer(&vals[0]),
			count: uint32(n), fd: uint32(m.FD()),
		}
		if !first {
			a.in = a.out
		}
		err := sysBPF(cmdLookupBatch, unsafe.Pointer(&a), unsafe.Sizeof(a))
		if err == unix.ENOSPC && n < math.MaxInt32/2 {
			n *= 2 // one bucket has more entries than were requested
			vals = make([]byte, n*valSize)
			continue
		}
		if err == unix.EINVAL && first || err == unix.EOPNOTSUPP || err == unix.ENOTSUP {
			return eachElemSlow(m, keySize, valSize, f)
		}
		if err != nil && err != unix.ENOENT {
			return err
		}
		for i := range int(a.count) {
			if !f(keys[i*keySize:(i+1)*keySize:(i+1)*keySize], vals[i*valSize:(i+1)*valSize]) {
				return nil
			}
		}
		if err != nil { // ENOENT: these were the last entries
			return nil
		}
		first = false
	}
}

// eachElemSlow reads one key after the other, for maps that cannot be read in batches.
func eachElemSlow(m *ebpf.Map, keySize, valSize int, f func(key, val []byte) bool) error {
	var key []byte
	val := make([]byte, valSize)
	for range m.MaxEntries() {
		next := make([]byte, keySize)
		if err := NextKey(m, key, next); err == unix.ENOENT {
			return nil
		} else if err != nil {
			return err
		}
		if err := LookupElem(m, next, val); err == nil {
			if !f(next, val) {
				return nil
			}
		} else if err != unix.ENOENT {
			return err
		}
		key = next
	}
	return nil
}
