package runtime

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	gort "runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The stub is what a child is before it becomes its program: an ELF file of
// one page, made of the machine code in stub_*.s. It reads a byte from
// descriptor 3, marks it close-on-exec and executes its second argument with
// the arguments from the third on; on end of file it exits, and if execve
// fails it sends errno back, as a u64.

// stubSize bounds the stub's code; what is copied behind it is never run.
const stubSize = 512

// stubFile is an executable file, in memory, that holds the stub.
func stubFile() (*os.File, error) {
	const name = "gotrace-child"
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3 all of them are executable
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	// In the child the standard streams and the socket take descriptors 0 to 3,
	// before it is executed by the number of this one.
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 16)
	unix.Close(fd)
	if err == unix.EINVAL { // what may be open is fewer than that
		err = unix.EMFILE
	}
	if err != nil {
		return nil, err
	}
	fd = high
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(stubELF()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func stubELF() []byte {
	const base, header = 0x400000, 64 + 56
	machine := map[string]uint16{"amd64": 62, "arm64": 183}[gort.GOARCH]
	code := unsafe.Slice((*byte)(stubCode()), stubSize)
	le := binary.LittleEndian
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, v := range []any{
		uint16(2), machine, uint32(1), // executable
		uint64(base + header), uint64(64), uint64(0), // entry, program headers, sections
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0),
		uint32(1), uint32(5), // load, read and execute
		uint64(0), uint64(base), uint64(base),
		uint64(header + stubSize), uint64(header + stubSize), uint64(4096),
	} {
		binary.Write(&b, le, v)
	}
	b.Write(code)
	return b.Bytes()
}

// stubCode is the address of the stub's code.
func stubCode() unsafe.Pointer
