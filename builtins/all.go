package builtins

//go:generate go run ../lang/internal/genref REFERENCE.md ../docs/REFERENCE.md

import "slices"

// All returns the table of builtins, ordered by topic.
func All() []*Def {
	return slices.Concat([]*Def{
		// The task and the machine.
		pid(), tid(), uid(), gid(), comm(), username(), ppid(), pcomm(), leaderTid(), leaderComm(),
		childPID(), hasChild(), cgroup(), cgroupID(), cgroupPath(), commandLine(), container(), pod(), unit(), curtask(), cpu(), ncpus(), numaid(),
		// The probe and its data.
		probe(), probeType(), funcName(), goid(), goval(), retval(), argN(), usdtArg(), usdtSet(), args(), packet(), payload(), dnsName(), dnsAddresses(), tlsName(), peerCgroup(), contextPointer(), reg(), regSet(), usermode(),
		kstack(), ustack(), dwUstack(), signal(), signalThread(), signalEither(), override(), drop(), deny(), writeUser(), unwatch(), pcapFilter(), capturePacket(), skbOutput(),
		// Time and random numbers.
		nsecs(), elapsed(), jiffies(), random(), wallTime(), strftime(),
		// Aggregations.
		count(), sum(), avg(), minimum(), maximum(), stats(), hist(), lhist(), quantile(), tseries(),
		// Output and the end of the session.
		printf(), printValue(), report(), alert(), limit(), errorMessage(), warnMessage(), catFile(), join(), system(), debugf(), exit(), stopRecording(),
		// Maps.
		clearMap(), zeroMap(), deleteEntry(), hasKey(), find(), length(), isScalar(), hasMember(), checkKey(),
		// Strings and bytes.
		str(), buf(), gather(), slice(), bufConcat(), be16(), be32(), be64(), le16(), le32(), le64(), strncmp(), strcontains(), strstr(), strlen(), strnlen(), strcap(), strConcat(), strWords(), between(), httpHeader(), memcmp(), memcmpRecord(),
		startswith(), endswith(), contains(), icontains(), glob(), matches(), matched(), isIn(), port(), protocol(),
		strerror(), signalName(), syscallName(), syscallArg(), path(),
		// Numbers and addresses.
		ksym(), usym(), kaddr(), percpuKaddr(), uaddr(), kptr(), uptr(), containerOf(), socketCookie(),
		ntop(), pton(), macaddr(), bswap(), forgotten(),
		// Known at compile time.
		settings(), getopt(), staticAssert(), fail(), elfInfo(), elfIsExe(), assertUserspaceProbe(),
	}, typeQuestions(), kfuncQuestions())
}
