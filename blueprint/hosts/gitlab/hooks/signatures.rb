# Says which commits and tags are not signed by whom they say. The hook pre-receive calls it:
#
#   ruby signatures.rb ALLOWED_SIGNERS <<< "object names, one a line"
#
# It prints a line "NAME reason" for each that is not to be taken, ten at most, and nothing if
# all are. A status other than 0 means that it could not tell.
#
# Ruby, because it comes with GitLab. Who may sign is decided by ssh-keygen alone: it is asked
# for the first signature of each person and key. It costs some 8 ms a time, so for further
# ones of the same two OpenSSL does the arithmetic; what that does not accept, or cannot,
# ssh-keygen looks at again.
require 'digest'
require 'open3'
require 'openssl'
require 'tempfile'

MOST = 10
ARMOUR = /-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+\/=\n]*)-----END SSH SIGNATURE-----\n*/n

# A commit or tag: its text without the signature, the signature as it stands there (nil if
# there is none, or more than one), and the e-mail address of who made it (nil if that is not
# one). https://git-scm.com/docs/signature-format
Signed = Struct.new(:name, :text, :armour, :email)

def taken_apart(name, type, text)
  head, empty, body = text.partition(/^$/n)
  armour = nil
  if type == 'commit'
    found = []
    head = head.gsub(/^gpgsig(?:-sha256)? (.*\n(?: .*\n)*)/n) do
      found << Regexp.last_match(1)
      ''
    end
    # Two: nobody knows which one the next reader takes.
    armour = found.first.gsub(/^ /n, '') if found.size == 1
    text = head + empty + body
  elsif (found = text.match(/^#{ARMOUR}\z/n))
    text = found.pre_match
    armour = found[0]
  end
  armour = nil unless armour&.match?(/\A#{ARMOUR}\z/n)
  who = head.scan(/^#{type == 'commit' ? 'committer' : 'tagger'} .*<([^<>\n]*)> \d+ [-+]\d{4}$/n).flatten
  email = who.first if who.size == 1 && who.first.match?(/\A[A-Za-z0-9_][A-Za-z0-9_.%+-]*@[A-Za-z0-9.-]+\z/n)
  Signed.new(name, text, armour, email)
end

def read_objects(names)
  out, status = Open3.capture2('git', 'cat-file', '--batch', stdin_data: "#{names.join("\n")}\n", binmode: true)
  abort 'git cat-file failed' unless status.success?
  names.map do |name|
    line = out.slice!(/\A.*\n/n) or abort "#{name} is missing"
    type, size = line.match(/\A#{name} (commit|tag) (\d+)\n\z/n)&.captures
    abort "unexpected: #{line}" unless type
    text = out.slice!(0, size.to_i)
    abort "#{name} is cut off" unless text.bytesize == size.to_i && out.slice!(0, 1) == "\n"
    taken_apart(name, type, text)
  end
end

# The strings in a message of SSH, each behind its length; nil if one is cut off.
# https://www.rfc-editor.org/rfc/rfc4251#section-5
def strings(blob)
  list = []
  until blob.empty?
    size = blob.unpack1('N')
    return if size.nil? || blob.bytesize < 4 + size

    list << blob.byteslice(4, size)
    blob = blob.byteslice((4 + size)..)
  end
  list
end

# The parts of a signature, after
# https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
Parts = Struct.new(:key, :namespace, :reserved, :hash, :signature)

def parts(armour)
  blob = armour[ARMOUR, 1].delete("\n").unpack1('m0')
  return unless blob.start_with?("SSHSIG\x00\x00\x00\x01".b)

  found = strings(blob.byteslice(10..))
  Parts.new(*found) if found&.size == 5
rescue ArgumentError
  nil
end

# Whether an Ed25519 signature is right; false also for all that this does not know.
def right?(signed, parts)
  digest = { 'sha256' => Digest::SHA256, 'sha512' => Digest::SHA512 }[parts.hash]
  key_type, key, *more = strings(parts.key)
  type, signature, *rest = strings(parts.signature)
  return false unless digest && parts.namespace == 'git' && parts.reserved.empty? && more.empty? && rest.empty?
  return false unless key_type == 'ssh-ed25519' && type == 'ssh-ed25519' && key&.bytesize == 32 && signature

  said = ['git', '', parts.hash, digest.digest(signed.text)].map { |s| [s.bytesize, s].pack('Na*') }.join
  # The key as OpenSSL reads it: https://www.rfc-editor.org/rfc/rfc8410#section-4
  OpenSSL::PKey.read(['302a300506032b6570032100'].pack('H*') + key).verify(nil, signature, "SSHSIG#{said}".b)
rescue OpenSSL::PKey::PKeyError
  false
end

# ssh-keygen's answer about one signature: whether it ended well, and what it printed.
def ssh_keygen(signed, *arguments)
  Tempfile.create('signature') do |file|
    file.write(signed.armour)
    file.close
    out, status = Open3.capture2e('ssh-keygen', '-q', '-Y', *arguments, '-s', file.path, stdin_data: signed.text, binmode: true)
    [status.success?, out]
  end
end

def reason(signed, signers)
  return 'does not say by whose e-mail address it is' unless signed.email
  return 'has no SSH signature' unless signed.armour
  return if ssh_keygen(signed, 'verify', '-f', signers, '-I', signed.email, '-n', 'git').first

  unless ssh_keygen(signed, 'check-novalidate', '-n', 'git').first
    return 'has a signature that is not of its text, or not for Git: it was changed after it was signed'
  end

  known, principals = ssh_keygen(signed, 'find-principals', '-f', signers)
  if !known
    'is signed by a key that is not in allowed_signers, or whose time there is over'
  elsif principals.strip != signed.email
    "is signed by #{principals.strip}, but says that it is by #{signed.email}"
  else
    "is signed by a key of #{signed.email} that allowed_signers does not take for Git today"
  end
end

signers = ARGV.fetch(0)
trusted = {} # [e-mail, key] => ssh-keygen took a signature of theirs
bad = 0
read_objects($stdin.read.split).each do |signed|
  parts = parts(signed.armour) if signed.armour
  pair = [signed.email, parts&.key]
  next if parts && trusted[pair] && right?(signed, parts)

  why = reason(signed, signers)
  if why
    puts "#{signed.name} #{why}"
    bad += 1
    break if bad == MOST
  elsif parts
    trusted[pair] = true
  end
end
