import {execFileSync} from 'node:child_process'
import {mkdirSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {scratchDirectory} from './scratch.ts'

/** Files in PEM format. */
export interface Issued {
  /** The common name: etcd's user, where it takes them from certificates. */
  readonly name: string
  readonly certificate: string
  readonly key: string
}

const config = `
[ca]
default_ca = it
[it]
database = index
serial = serial
new_certs_dir = new
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
`

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** A certificate authority of a test's own, by the `openssl` of this machine. `using` removes all that it has issued. */
export class Authority implements Disposable {
  readonly directory = scratchDirectory('authority')
  /** Its own certificate. */
  readonly certificate = path.join(this.directory, 'ca.crt')
  #count = 0

  constructor() {
    mkdirSync(path.join(this.directory, 'new'))
    writeFileSync(path.join(this.directory, 'config'), config)
    writeFileSync(path.join(this.directory, 'index'), '')
    writeFileSync(path.join(this.directory, 'serial'), '01')
    const self = ['-x509', '-days', '30', '-subj', '/CN=test authority', '-out', this.certificate]
    this.#openssl('req', ...newKey, '-keyout', 'ca.key', ...self)
  }

  /**
   * @param subjectAltName as openssl writes it: `IP:127.0.0.1`, `DNS:etcd-1`
   * @param until when its validity ends, as `YYYYMMDDHHMMSSZ`
   */
  issue(subjectAltName: string, until = '20990101000000Z'): Issued {
    const name = `issued-${++this.#count}`
    const [key = '', request = '', certificate = '', extensions = ''] = ['key', 'csr', 'crt', 'ext'].map(
      (suffix) => path.join(this.directory, `${name}.${suffix}`),
    )
    writeFileSync(extensions, `subjectAltName=${subjectAltName}\n`)
    this.#openssl('req', ...newKey, '-keyout', key, '-subj', `/CN=${name}`, '-out', request)
    const validity = ['-startdate', '20200101000000Z', '-enddate', until]
    const authority = ['-config', 'config', '-cert', this.certificate, '-keyfile', 'ca.key']
    this.#openssl(
      'ca',
      '-batch',
      '-notext',
      ...authority,
      ...validity,
      '-extfile',
      extensions,
      '-in',
      request,
      '-out',
      certificate,
    )
    return {name, certificate, key}
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, {recursive: true})
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, {cwd: this.directory, stdio: ['ignore', 'ignore', 'pipe']})
  }
}
