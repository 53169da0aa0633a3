package agentproc

import (
	"os"
	"syscall"
	"unsafe"
)

// pidfdInfo is struct pidfd_info of linux/pidfd.h in its first version.
type pidfdInfo struct {
	mask, cgroup uint64
	pid, tgid    uint32
	ppid         uint32
	ruid, rgid   uint32
	euid, egid   uint32
	suid, sgid   uint32
	fsuid, fsgid uint32
	exitCode     int32
}

const (
	pidfdGetInfo  = 3<<30 | unsafe.Sizeof(pidfdInfo{})<<16 | 0xff<<8 | 11 // _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)
	pidfdInfoExit = 1 << 3
)

// exitStatus returns how p ended, as waitpid has it. p has to have been found while it
// was running. The kernel tells others than the parent since Linux 6.15, once the parent
// has collected it.
func exitStatus(p *os.Process) (status int, known bool) {
	if p == nil {
		return 0, false
	}
	info := pidfdInfo{mask: pidfdInfoExit}
	var errno syscall.Errno
	err := p.WithHandle(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	})
	if err != nil || errno != 0 || info.mask&pidfdInfoExit == 0 {
		return 0, false
	}
	return int(info.exitCode), true
}
