# Facts of the Proxmox host and of the machines. Facts of the cluster (addresses,
# networks, time zone) are not here: they are read from clusters/lumacore/settings.env.
#
# Write your values into terraform.tfvars (see terraform.tfvars.example). Secrets come
# from the environment: TF_VAR_k3s_token, TF_VAR_k3s_agent_token, TF_VAR_state_passphrase,
# PROXMOX_VE_API_TOKEN.

# --- Proxmox -----------------------------------------------------------------------

variable "proxmox_endpoint" {
  description = "REQUIRED. Address of the Proxmox VE API, as https://pve.lab.example.com:8006/. The name must be the one in the host's certificate."
  type        = string

  validation {
    condition     = can(regex("^https://[A-Za-z0-9.-]+(:[0-9]+)?/?$", var.proxmox_endpoint))
    error_message = "proxmox_endpoint must be an https address without a path. Write it as https://pve.lab.example.com:8006/"
  }
}

variable "proxmox_node" {
  description = "REQUIRED. Name of the Proxmox node that the machines run on, as the tree on the left of Proxmox's web page shows it."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$", var.proxmox_node))
    error_message = "proxmox_node must be the short name of the node (letters, digits, '-'), not an address. Run `hostname` on the Proxmox host."
  }
}

variable "ssh_username" {
  description = "User that writes the cloud-init documents on the Proxmox host over SFTP. README.md shows how to make it."
  type        = string
  default     = "lumacore"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.ssh_username))
    error_message = "ssh_username must be the name of a Linux user on the Proxmox host."
  }
}

variable "ssh_agent" {
  description = "Take the SSH key from ssh-agent. Set false where the key is in PROXMOX_VE_SSH_PRIVATE_KEY."
  type        = bool
  default     = true
  nullable    = false
}

variable "ssh_address" {
  description = "Address at which the Proxmox node answers SSH; null: the host in proxmox_endpoint."
  type        = string
  default     = null
}

variable "ssh_port" {
  description = "Port at which the Proxmox node answers SSH."
  type        = number
  default     = 22
  nullable    = false

  validation {
    condition     = var.ssh_port >= 1 && var.ssh_port <= 65535 && floor(var.ssh_port) == var.ssh_port
    error_message = "ssh_port must be a port, 1 to 65535."
  }
}

variable "image_datastore" {
  description = "Storage for the image of the operating system. Its content types must include Import (Proxmox VE 8.4 or newer)."
  type        = string
  default     = "local"
  nullable    = false
}

variable "snippet_datastore" {
  description = "Storage for the cloud-init documents. Its content types must include Snippets, and it must be a directory."
  type        = string
  default     = "local"
  nullable    = false
}

variable "disk_datastore" {
  description = "Storage for the disks of the machines. Its content types must include Disk image."
  type        = string
  default     = "local-lvm"
  nullable    = false
}

variable "bridge" {
  description = "Bridge of the Proxmox host that leads to the LAN of settings.env."
  type        = string
  default     = "vmbr0"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_.-]{0,14}$", var.bridge))
    error_message = "bridge must be the name of a Linux bridge on the Proxmox host, as vmbr0 (Node > System > Network)."
  }
}

variable "vlan" {
  description = "VLAN tag of the machines' network cards, 1 to 4094; null: untagged. The bridge must be VLAN aware."
  type        = number
  default     = null

  validation {
    condition     = var.vlan == null ? true : var.vlan >= 1 && var.vlan <= 4094 && floor(var.vlan) == var.vlan
    error_message = "vlan must be a VLAN tag, 1 to 4094, or null for an untagged network."
  }
}

variable "vm_ids" {
  description = "Numbers of the machines in Proxmox. They must be free in the whole Proxmox cluster. Changing one replaces the machine."
  type        = map(number)
  default = {
    server  = 201
    agent-1 = 202
    agent-2 = 203
  }
  nullable = false

  validation {
    condition     = sort(keys(var.vm_ids)) == tolist(["agent-1", "agent-2", "server"])
    error_message = "vm_ids must have exactly the keys server, agent-1 and agent-2: the cluster has these three machines."
  }

  validation {
    condition     = length(distinct(values(var.vm_ids))) == length(var.vm_ids)
    error_message = "vm_ids gives two machines the same number. Each needs one of its own."
  }

  validation {
    condition     = alltrue([for id in values(var.vm_ids) : id >= 100 && id <= 999999999 && floor(id) == id])
    error_message = "vm_ids must be whole numbers from 100 to 999999999: Proxmox keeps the ones below 100 for itself."
  }
}

# --- Image of the operating system ---------------------------------------------------

variable "image_url" {
  description = "REQUIRED. Ubuntu cloud image of one day, as https://cloud-images.ubuntu.com/noble/<date>/noble-server-cloudimg-amd64.img. Dates: https://cloud-images.ubuntu.com/noble/"
  type        = string

  validation {
    condition     = can(regex("^https://[^ ]+/[0-9]{8}(\\.[0-9]+)?/[A-Za-z0-9._-]+\\.(img|qcow2)$", var.image_url))
    error_message = "image_url must be an https address with the date of a build in it, as .../noble/20260115/noble-server-cloudimg-amd64.img. What is behind /current/ changes, and its checksum with it."
  }
}

variable "image_sha256" {
  description = "REQUIRED. SHA-256 of the image, from the file SHA256SUMS beside it; README.md shows how to read it and how to check its signature."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.image_sha256))
    error_message = "image_sha256 must be 64 hexadecimal digits in lower case. Read it with: curl -fsS <folder of image_url>/SHA256SUMS | grep noble-server-cloudimg-amd64.img"
  }
}

# --- Machines ------------------------------------------------------------------------

variable "name_prefix" {
  description = "What the names of the machines begin with: <name_prefix>server, <name_prefix>agent-1, <name_prefix>agent-2. They are the names of the Kubernetes nodes too. Changing it renames the machines in Proxmox, but not the nodes."
  type        = string
  default     = "k3s-"
  nullable    = false

  validation {
    condition     = can(regex("^([a-z][a-z0-9-]{0,39})?$", var.name_prefix))
    error_message = "name_prefix must be lower case letters, digits and '-', begin with a letter, and have 40 characters at most: it becomes part of host names."
  }
}

variable "server" {
  description = "Size of the k3s server: cores, memory (MiB), disk of the system and of Longhorn (GiB). Disks can grow, not shrink."
  type = object({
    cores             = optional(number, 4)
    memory_mib        = optional(number, 8192)
    system_disk_gib   = optional(number, 40)
    longhorn_disk_gib = optional(number, 100)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.server.cores >= 2 && var.server.memory_mib >= 4096 && var.server.system_disk_gib >= 20 && var.server.longhorn_disk_gib >= 10
    error_message = "server is too small: k3s with etcd needs 2 cores, 4096 MiB of memory, 20 GiB for the system and 10 GiB for Longhorn, at least."
  }

  validation {
    condition     = alltrue([for n in values(var.server) : floor(n) == n])
    error_message = "server must have whole numbers only."
  }
}

variable "agent" {
  description = "Size of each of the two k3s agents, as of server."
  type = object({
    cores             = optional(number, 4)
    memory_mib        = optional(number, 12288)
    system_disk_gib   = optional(number, 40)
    longhorn_disk_gib = optional(number, 200)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.agent.cores >= 1 && var.agent.memory_mib >= 2048 && var.agent.system_disk_gib >= 20 && var.agent.longhorn_disk_gib >= 10
    error_message = "agent is too small: an agent needs 1 core, 2048 MiB of memory, 20 GiB for the system and 10 GiB for Longhorn, at least."
  }

  validation {
    condition     = alltrue([for n in values(var.agent) : floor(n) == n])
    error_message = "agent must have whole numbers only."
  }
}

variable "cpu_type" {
  description = "Processor that the machines see. x86-64-v2-AES runs on every x86 host since 2010, so that a machine can be restored on another host; \"host\" is faster where that does not matter."
  type        = string
  default     = "x86-64-v2-AES"
  nullable    = false
}

variable "admin_user" {
  description = "User of the machines that may become root. It has no password: it logs in with ssh_public_keys."
  type        = string
  default     = "ubuntu"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.admin_user)) && var.admin_user != "root"
    error_message = "admin_user must be the name of a Linux user (lower case letters, digits, '_' and '-'), and not root."
  }
}

variable "ssh_public_keys" {
  description = "REQUIRED. Public keys that may log in to the machines, each as one line of an authorized_keys file."
  type        = list(string)

  validation {
    condition     = length(var.ssh_public_keys) > 0
    error_message = "ssh_public_keys is empty: without a key nobody could log in, because passwords are off."
  }

  validation {
    condition     = alltrue([for key in var.ssh_public_keys : can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\\.com|sk-ecdsa-sha2-nistp256@openssh\\.com) [A-Za-z0-9+/=]+( [^\\n]*)?$", key))])
    error_message = "ssh_public_keys must hold public keys, as the line in ~/.ssh/id_ed25519.pub: type, key and comment. A private key must never stand here."
  }
}

variable "dns_servers" {
  description = "DNS servers of the machines; empty: the router of settings.env. They must know the name in GIT_URL."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for ip in var.dns_servers : can(cidrhost("${ip}/32", 0))])
    error_message = "dns_servers must be IPv4 addresses."
  }
}

variable "protect_server" {
  description = "Let Proxmox refuse to delete the k3s server and its disks. Set it true once the cluster runs; false lets an apply that was interrupted replace the half-made machine, and lets `tofu destroy` work."
  type        = bool
  default     = false
  nullable    = false
}

variable "create_timeout" {
  description = "Seconds that Proxmox may take to make one machine, the copy of its disk included."
  type        = number
  default     = 1800
  nullable    = false

  validation {
    condition     = var.create_timeout >= 1 && floor(var.create_timeout) == var.create_timeout
    error_message = "create_timeout must be a whole number of seconds, 1 at least."
  }
}

# --- Secrets -------------------------------------------------------------------------

variable "k3s_token" {
  description = "REQUIRED, from TF_VAR_k3s_token. Token of the k3s server, made with `openssl rand -hex 32` and kept in 1Password: restoring etcd on a new server needs it. Agents never get it."
  type        = string
  sensitive   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9]{32,256}$", var.k3s_token))
    error_message = "k3s_token must be 32 to 256 letters and digits. Make one with `openssl rand -hex 32`, keep it in 1Password and export it as TF_VAR_k3s_token."
  }
}

variable "k3s_agent_token" {
  description = "REQUIRED, from TF_VAR_k3s_agent_token. What agents join with, made like k3s_token, but another: whoever has it can join an agent, and no more."
  type        = string
  sensitive   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9]{32,256}$", var.k3s_agent_token))
    error_message = "k3s_agent_token must be 32 to 256 letters and digits. Make one with `openssl rand -hex 32`, keep it in 1Password and export it as TF_VAR_k3s_agent_token."
  }

  validation {
    condition     = var.k3s_agent_token != var.k3s_token
    error_message = "k3s_agent_token and k3s_token are the same: an agent could then join as a server. Make another with `openssl rand -hex 32`."
  }
}

variable "state_passphrase" {
  description = "REQUIRED, from TF_VAR_state_passphrase. Encrypts the state and saved plans; 16 characters at least, kept in 1Password. Without it the state cannot be read any more."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.state_passphrase) >= 16
    error_message = "state_passphrase must have 16 characters at least. Make one with `openssl rand -base64 24`, keep it in 1Password and export it as TF_VAR_state_passphrase."
  }
}
