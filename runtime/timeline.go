package runtime

import (
	"bytes"
	"encoding/binary"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// noteStamp passes the stamp of a record to Setup.Timeline. For records of calls,
// handleCall does so.
func (s *Instance) noteStamp(rec *object.Record) {
	if s.opt.Timeline != nil && rec.Stamp != 0 && rec.Call == nil {
		s.opt.Timeline.At(s.stamp(rec))
	}
}

// stamp decodes the stamp of a record.
func (s *Instance) stamp(rec *object.Record) output.Stamp {
	data := rec.Data[rec.Stamp : rec.Stamp+object.StampSize]
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(data[at:]) }
	name, _, _ := bytes.Cut(data[object.StampComm:object.StampComm+16], []byte{0})
	task := word(object.StampTask)
	return output.Stamp{
		Boot: word(object.StampTime), Time: s.env.BootToWall(word(object.StampTime)),
		PID: int(task >> 32), TID: int(task & (1<<32 - 1)), CPU: int(word(object.StampCPU)), Comm: string(name),
	}
}

// handleCall handles the record of a call or a return.
func (s *Instance) handleCall(_ builtins.Env, rec *object.Record) error {
	n := rec.Aux()
	if s.opt.Timeline == nil || uint64(n) >= uint64(len(rec.Call.Names)) || rec.Call.Names[n] == "" {
		return nil
	}
	s.opt.Timeline.Call(s.stamp(rec), rec.Call.Names[n], rec.Call.Return, rec.Call.All)
	return nil
}
