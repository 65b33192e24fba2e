package host

import (
	"context"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Free space below which the volume of a database is short, in bytes.
const (
	littleSpace = 200 << 20
	noSpace     = 20 << 20
)

func lookAtVolume(_ context.Context, p *patient, f *Finding) {
	if p.path == "" {
		f.set(HealthSkipped, "", "no database is named")
		return
	}
	folder := filepath.Dir(p.path)
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		f.set(HealthFailed, "make the folder, and let the host's user write to it", "%s: %v", folder, err)
		return
	}
	free := int64(stat.Bavail) * int64(stat.Bsize)
	kind, remote := fileSystem(int64(stat.Type))
	switch {
	case unix.Access(folder, unix.W_OK) != nil || stat.Flags&unix.ST_RDONLY != 0:
		f.set(HealthFailed, "let the host's user write to the folder: SQLite makes files beside the database", "%s cannot be written", folder)
	case free < noSpace:
		f.set(HealthFailed, "free some space", "%s has %d MiB left", folder, free>>20)
	case free < littleSpace:
		f.set(HealthWarning, "free some space", "%s has %d MiB left", folder, free>>20)
	case remote:
		f.set(HealthWarning, "move the database to a disk of this machine: SQLite needs locks that work", "%s is on a network file system (%s)", folder, kind)
	case kind == "tmpfs":
		f.set(HealthWarning, "move the database to a disk", "%s is in memory and is lost when the machine ends", folder)
	default:
		f.Text = folder + " can be written and has space"
	}
}

// fileSystem names the file systems that are no place for a database.
func fileSystem(magic int64) (name string, remote bool) {
	switch magic {
	case unix.NFS_SUPER_MAGIC:
		return "NFS", true
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "SMB", true
	case unix.V9FS_MAGIC:
		return "9p", true
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph", true
	case unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return "AFS", true
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return "tmpfs", false
	}
	return "", false
}
