import {createHash} from 'node:crypto'
import {readFileSync, statfsSync} from 'node:fs'
import {join} from 'node:path'
import {LeashError} from '../core/errors.ts'
import {type Owner, openToOthers, ownDirectory, stateDirectory, usableHome} from '../ownDirectory.ts'

/** Where the engine of a user on this machine is. */
export interface Place {
  /** All its files; nobody else can look into it. */
  readonly directory: string
  readonly socketPath: string
}

/** What a place follows from, besides its owner. */
export interface Machine {
  /** Undefined where it has none, as in many containers. */
  readonly id: string | undefined
  /** The kind of file system that a directory is on, as statfs(2) has it. */
  readonly fileSystemOf: (directory: string) => number
}

const purpose = 'local locks'
const anotherEngine = 'or name the members of an etcd in LEASH_ENDPOINTS'

/**
 * `sun_path` has 108 bytes on Linux, the last of which is a NUL. An engine makes its socket as `e` and its epoch, which grows
 * with each start: longer than `socket` from 100,000 on. There is room for one every second in 30 years.
 */
const longestSocketPathBytes = 107 - ('e999999999'.length - 'socket'.length)

/**
 * Magic numbers of file systems (linux/magic.h, and those of modules that are not in it) that another machine may see as well.
 * There a socket joins nobody, locks of files may mean nothing, and what was written may not be on a disk. One in user space
 * can be anything: sshfs, a share of the host of a virtual machine, a cloud's store.
 */
const sharedFileSystems = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0x01021997, '9P'],
  [0x65735546, 'FUSE'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x6b414653, 'AFS'],
  [0x5346414f, 'AFS'],
  [0x73757245, 'Coda'],
  [0x47504653, 'GPFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x19830326, 'BeeGFS'],
  [0xaad7aaea, 'PanFS'],
  [0x0000564c, 'NCP'],
  [0x786f4256, 'vboxsf'],
  [0xbacbacbc, 'vmhgfs'],
  [0x7c7c6673, 'prl_fs'],
])

/**
 * Where the engine of this user on this machine is: `~/.local/state/leash/local-HEX`, which is made if it is not there. It
 * follows from the uid, the passwd entry and the machine's id, and not from HOME, XDG_STATE_HOME or TMPDIR: cron and a login
 * shell meet in one lock. Without a machine's id, as in many containers, it is `local`: then the file system alone says that
 * two machines do not share it.
 *
 * Nobody but root can put a socket there, or read one, so whoever answers on it works for this user: every directory from the
 * home down is this user's and writable by nobody else. There is no other place for who has no such home: a service that may
 * not see its home, and a login shell, would find two.
 *
 * @throws LeashError `config` for a user without a home of its own; for a machine's id that this user may not read; for a
 *   directory that others could have put there, or that another machine may see; for a home so deep that a socket cannot have its path
 */
export function localPlace({uid, home}: Owner, machine: Machine = thisMachine): Place {
  const usable = ownHome(home, uid)
  refuseShared(usable, machine)
  const {id} = machine
  const name = id === undefined ? 'local' : `local-${digest(id)}`
  const directory = ownDirectory(stateDirectory(usable, uid, purpose), name, uid, openToOthers, purpose)
  refuseShared(directory, machine)
  const socketPath = join(directory, 'socket')
  const bytes = Buffer.byteLength(socketPath)
  if (bytes > longestSocketPathBytes)
    throw new LeashError(
      'config',
      `the path of the socket ${socketPath} has ${bytes} bytes, and it may have ${longestSocketPathBytes} at most`,
      `give this user a home directory with a shorter path, ${anotherEngine}`,
    )
  return {directory, socketPath}
}

function ownHome(home: string | undefined, uid: number): string {
  const wayOut = `give this user a home directory that only this user can write to, ${anotherEngine}`
  if (home === undefined)
    throw new LeashError('config', 'local locks stand in the home directory, and this user has none', wayOut)
  const usable = usableHome(home, uid)
  if ('path' in usable) return usable.path
  throw new LeashError(
    'config',
    `local locks stand in the home directory, and ${home} ${usable.fault}`,
    wayOut,
  )
}

/** The home first, before anything is made in it; then what may be mounted below it. */
function refuseShared(directory: string, {fileSystemOf}: Machine): void {
  const kind = sharedFileSystems.get(fileSystemOf(directory))
  if (kind === undefined) return
  throw new LeashError(
    'config',
    `${directory} is on a file system that other machines may share (${kind}), and local locks hold on one machine only`,
    `put it on a disk of this machine, ${anotherEngine}`,
  )
}

/** Not the id itself, which is not for others to know (machine-id(5)). */
function digest(machineId: string): string {
  return createHash('sha256').update(`leash ${machineId}`).digest('hex').slice(0, 16)
}

const thisMachine: Machine = {
  get id() {
    const file = '/etc/machine-id'
    try {
      const id = readFileSync(file, 'utf8').trim()
      // As systemd leaves it in an image that has not been booted yet.
      return id === '' || id === 'uninitialized' ? undefined : id
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error)
      if (code === 'ENOENT') return undefined
      // A service that may not read it would find another place than a login shell.
      throw new LeashError(
        'config',
        `${file} cannot be read (${code}), and local locks are found by it`,
        `let this user read it, ${anotherEngine}`,
        {cause: error},
      )
    }
  },
  fileSystemOf: (directory) => statfsSync(directory).type,
}
