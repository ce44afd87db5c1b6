# One k3s server and two agents on one Proxmox node, from an Ubuntu cloud image.

locals {
  # The facts of the cluster, as Flux reads them too. Lines are NAME=value.
  settings_file = "${path.module}/../../clusters/lumacore/settings.env"
  settings = {
    for line in regexall("(?m)^([A-Z0-9_]+)=(.*)$", file(local.settings_file)) :
    line[0] => trimspace(line[1])
  }

  lan_prefix = split("/", local.settings.LAN_CIDR)[1]

  ssh_address = var.ssh_address != null ? var.ssh_address : regex("^https://([A-Za-z0-9.-]+)", var.proxmox_endpoint)[0]

  # The three machines. Roles and addresses are fixed by settings.env.
  nodes = {
    server = {
      role    = "server"
      address = local.settings.SERVER_IP
      size    = var.server
      # The server first, the agents when it has had a minute; down in reverse order.
      startup_order = 10
    }
    agent-1 = {
      role          = "agent"
      address       = local.settings.AGENT_1_IP
      size          = var.agent
      startup_order = 20
    }
    agent-2 = {
      role          = "agent"
      address       = local.settings.AGENT_2_IP
      size          = var.agent
      startup_order = 20
    }
  }

  names = { for key, node in local.nodes : key => "${var.name_prefix}${key}" }

  # What Linux shows of the second disk: /dev/disk/by-id/virtio-<serial>. The order in
  # which /dev/vda and /dev/vdb appear is no promise; this name is. 20 characters at most.
  longhorn_serial = "lumacore-longhorn"
  longhorn_device = "/dev/disk/by-id/virtio-${local.longhorn_serial}"

  # Named after date and content: a new image is a new file, and machines that exist
  # stay as they are.
  image_file = "ubuntu-${regex("/([0-9]{8}(?:\\.[0-9]+)?)/", var.image_url)[0]}-${substr(var.image_sha256, 0, 8)}.qcow2"

  # Everything in ../k3s goes to /opt/lumacore/k3s/ of each machine, but for what is for
  # people, and for a node.env that somebody made for another machine.
  k3s_folder = "${path.module}/../k3s"
  k3s_files  = [for name in sort(fileset(local.k3s_folder, "*")) : name if !endswith(name, ".md") && !startswith(name, "node.env")]

  # Files below /etc/rancher/k3s. What the server calls agent-token is the agents' token.
  k3s_tokens = {
    server = { token = var.k3s_token, agent-token = var.k3s_agent_token }
    agent  = { token = var.k3s_agent_token }
  }

  user_data = {
    for key, node in local.nodes : key => templatefile("${path.module}/cloud-init/user-data.yaml.tftpl", {
      hostname        = local.names[key]
      timezone        = local.settings.TIMEZONE
      admin_user      = var.admin_user
      ssh_public_keys = var.ssh_public_keys
      k3s_tokens      = local.k3s_tokens[node.role]
      k3s_files       = { for name in local.k3s_files : name => filebase64("${local.k3s_folder}/${name}") }
      # Read by install.sh. KEY=value, without quotes.
      node_env = join("", [for name, value in {
        K3S_ROLE          = node.role
        K3S_SERVER_IP     = local.settings.SERVER_IP
        K3S_NODE_NAME     = local.names[key]
        K3S_NODE_IP       = node.address
        K3S_POD_CIDR      = local.settings.POD_CIDR
        K3S_SERVICE_CIDR  = local.settings.SERVICE_CIDR
        K3S_LONGHORN_DISK = local.longhorn_device
      } : "${name}=${value}\n"])
    })
  }

  meta_data = {
    for key, name in local.names : key => templatefile("${path.module}/cloud-init/meta-data.yaml.tftpl", { hostname = name })
  }
}

# The image, downloaded by the Proxmox host itself, which checks the checksum.
resource "proxmox_download_file" "image" {
  node_name          = var.proxmox_node
  datastore_id       = var.image_datastore
  content_type       = "import"
  url                = var.image_url
  file_name          = local.image_file
  checksum           = var.image_sha256
  checksum_algorithm = "sha256"
  # The checksum decides, not the size that the web server names.
  overwrite = false
  # A download that ended after we had stopped waiting leaves a file that the state does
  # not know. The next apply replaces it instead of failing.
  overwrite_unmanaged = true
}

# cloud-init: what a machine is to become. It is read at the first boot only.
resource "proxmox_virtual_environment_file" "user_data" {
  for_each = local.nodes

  node_name    = var.proxmox_node
  datastore_id = var.snippet_datastore
  content_type = "snippets"
  # It holds tokens: for root alone.
  file_mode   = "0600"
  upload_mode = "sftp"

  source_raw {
    file_name = "${local.names[each.key]}.user-data.yaml"
    data      = local.user_data[each.key]
  }

  lifecycle {
    precondition {
      condition     = contains(local.k3s_files, "install.sh")
      error_message = "${local.k3s_folder}/install.sh is missing: without it no machine becomes a node. Restore the folder hosts/k3s of this repository."
    }
  }
}

resource "proxmox_virtual_environment_file" "meta_data" {
  for_each = local.nodes

  node_name    = var.proxmox_node
  datastore_id = var.snippet_datastore
  content_type = "snippets"
  file_mode    = "0600"
  upload_mode  = "sftp"

  source_raw {
    file_name = "${local.names[each.key]}.meta-data.yaml"
    data      = local.meta_data[each.key]
  }
}

# All machines of the Proxmox cluster, to keep our hands off the ones of others.
data "proxmox_virtual_environment_vms" "existing" {}

resource "proxmox_virtual_environment_vm" "node" {
  for_each = local.nodes

  node_name   = var.proxmox_node
  vm_id       = var.vm_ids[each.key]
  name        = local.names[each.key]
  description = "k3s ${each.value.role} of LumaCore, made by OpenTofu from hosts/proxmox. Change it there."
  tags        = ["k3s", "lumacore", each.value.role]

  # q35 is the current machine model, with PCI Express. SeaBIOS starts the cloud image as
  # well as UEFI does, and needs no EFI disk that would have to be kept and restored too.
  machine = "q35"
  bios    = "seabios"

  operating_system {
    type = "l26"
  }

  on_boot       = true
  protection    = each.value.role == "server" && var.protect_server
  tablet_device = false

  # After a change of cores or memory Proxmox waits for a reboot. That is for the owner
  # to do, node by node and drained; nothing here may restart all nodes at once.
  reboot_after_update = false
  # A machine that is about to be deleted is not worth waiting for.
  stop_on_destroy = true
  # The disks are named after the machine; no others are touched.
  delete_unreferenced_disks_on_destroy = false

  timeout_create = var.create_timeout

  startup {
    order      = each.value.startup_order
    up_delay   = 60
    down_delay = 120
  }

  cpu {
    cores = each.value.size.cores
    type  = var.cpu_type
  }

  # No ballooning: kubelet plans with the memory that it sees at its start.
  memory {
    dedicated = each.value.size.memory_mib
    floating  = 0
  }

  # Lets Proxmox shut the machine down cleanly and shows its addresses. cloud-init
  # installs it; an apply waits this long for it, and then warns.
  agent {
    enabled = true
    timeout = "10m"
  }

  # The console of the cloud image; without it, it does not boot reliably.
  serial_device {}

  disk {
    interface    = "virtio0"
    datastore_id = var.disk_datastore
    import_from  = "${var.image_datastore}:import/${local.image_file}"
    size         = each.value.size.system_disk_gib
    discard      = "on"
    iothread     = true
  }

  # Longhorn's disk, apart: full volumes do not fill the system's disk, and it can grow
  # alone. Longhorn backs its volumes up itself, so Proxmox's backups leave it out.
  disk {
    interface    = "virtio1"
    datastore_id = var.disk_datastore
    serial       = local.longhorn_serial
    size         = each.value.size.longhorn_disk_gib
    discard      = "on"
    iothread     = true
    backup       = false
  }

  network_device {
    bridge  = var.bridge
    model   = "virtio"
    vlan_id = var.vlan == null ? 0 : var.vlan
  }

  initialization {
    datastore_id = var.disk_datastore
    interface    = "ide2"

    ip_config {
      ipv4 {
        address = "${each.value.address}/${local.lan_prefix}"
        gateway = local.settings.LAN_GATEWAY
      }
    }

    dns {
      servers = length(var.dns_servers) > 0 ? var.dns_servers : [local.settings.LAN_GATEWAY]
    }

    # Written out, not taken from the resources: an attribute of a document that changes
    # would be unknown in the plan, and an unknown document replaces the machine.
    user_data_file_id = "${var.snippet_datastore}:snippets/${local.names[each.key]}.user-data.yaml"
    meta_data_file_id = "${var.snippet_datastore}:snippets/${local.names[each.key]}.meta-data.yaml"
  }

  depends_on = [
    proxmox_download_file.image,
    proxmox_virtual_environment_file.user_data,
    proxmox_virtual_environment_file.meta_data,
  ]

  lifecycle {
    # A newer image is for machines that are made from now on.
    ignore_changes = [disk[0].import_from]

    # The provider takes a machine with the same number for its own.
    precondition {
      condition = alltrue([
        for vm in data.proxmox_virtual_environment_vms.existing.vms :
        vm.vm_id != var.vm_ids[each.key] || vm.name == local.names[each.key]
      ])
      error_message = "Proxmox has a machine with number ${var.vm_ids[each.key]} already, and it is not called ${local.names[each.key]}. It would be taken over. Give ${each.key} a free number in vm_ids."
    }

    precondition {
      condition     = cidrcontains(local.settings.LAN_CIDR, each.value.address)
      error_message = "The address of ${each.key}, ${each.value.address}, is not in LAN_CIDR ${local.settings.LAN_CIDR}. Correct clusters/lumacore/settings.env."
    }

    precondition {
      condition     = length(distinct([for node in values(local.nodes) : node.address])) == length(local.nodes)
      error_message = "Two machines have the same address. Correct SERVER_IP, AGENT_1_IP and AGENT_2_IP in clusters/lumacore/settings.env."
    }
  }
}

# A warning of every plan until it is done.
check "server_is_protected" {
  assert {
    condition     = var.protect_server
    error_message = "Proxmox would let anybody delete the k3s server. When the cluster runs, set protect_server = true and apply."
  }
}
