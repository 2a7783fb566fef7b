package main

import (
	"errors"
	"os"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
)

// packets is the file of --pcap. A nil one has no file.
type packets struct {
	*os.File
	size   int64 // size of the complete part in bytes
	report func(format string, args ...any)
	err    error  // error of the first packet that was not written
	missed uint64 // number of packets that were not written
}

// openPcap creates the file of --pcap, to which the session then writes packets.
func (a *app) openPcap(obj *object.Object, setup *runtime.Setup) (*packets, error) {
	name := a.opt.pcap
	if name == "" {
		return nil, nil
	}
	captures, ethernet := builtins.Captured(obj)
	if !captures {
		return nil, errors.New("--pcap needs a probe that sees packets, such as xdp:eth0, tc:eth0:ingress or cgroup_skb:egress")
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, outline.Errorf("--pcap: cannot write %s: %w", name, bare(err))
	}
	p := &packets{File: f, report: a.report.errorf}
	w, err := output.NewPcapng(p, builtins.MaxCaptured, ethernet, "gotrace "+version())
	if err != nil {
		p.Close()
		return nil, outline.Errorf("--pcap: cannot write %s: %w", name, bare(err))
	}
	setup.Packet = func(k output.Packet) {
		if p.err == nil {
			if p.err = w.Packet(k); p.err == nil {
				return
			}
			p.report("--pcap: cannot write %s: %v", p.Name(), bare(p.err))
		}
		p.missed++
	}
	return p, nil
}

// Write writes a block of the file, all of it or nothing.
func (p *packets) Write(block []byte) (int, error) {
	n, err := p.File.Write(block)
	if err != nil {
		_ = p.Truncate(p.size) // fails if it is a pipe
	}
	p.size += int64(n)
	return n, err
}

// close closes the file. It returns whether all packets were written.
func (p *packets) close() bool {
	if p == nil {
		return true
	}
	err := p.Close()
	switch {
	case p.missed > 0:
		p.report("--pcap: %d packets were not written", p.missed)
	case err != nil:
		p.report("--pcap: cannot write %s: %v", p.Name(), bare(err))
	}
	return p.missed == 0 && err == nil
}
