# What a plan says, without a Proxmox: the provider is a mock, the rest is real. Run by
#
#   TF_VAR_state_passphrase=0123456789abcdef tofu test
#
# https://opentofu.org/docs/cli/commands/test/

mock_provider "proxmox" {}

variables {
  proxmox_endpoint = "https://pve.lab.example.com:8006/"
  proxmox_node     = "pve"
  image_url        = "https://cloud-images.ubuntu.com/noble/20260115/noble-server-cloudimg-amd64.img"
  image_sha256     = "0000000000000000000000000000000000000000000000000000000000000001"
  ssh_public_keys  = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample owner@laptop"]
  k3s_token        = "simulated0server0token0of0thirtytwo0characters"
  k3s_agent_token  = "simulated0agent0token0of0thirtytwo0characters"
  state_passphrase = "simulated passphrase"
  protect_server   = true
}

run "three_machines" {
  command = plan

  assert {
    condition     = sort(keys(proxmox_virtual_environment_vm.node)) == tolist(["agent-1", "agent-2", "server"])
    error_message = "The cluster is one server and two agents."
  }

  assert {
    condition     = length(distinct([for vm in proxmox_virtual_environment_vm.node : vm.vm_id])) == 3
    error_message = "Each machine has a number of its own."
  }

  assert {
    condition     = { for key, vm in proxmox_virtual_environment_vm.node : key => vm.initialization[0].ip_config[0].ipv4[0].address } == { for key, node in local.nodes : key => "${node.address}/24" }
    error_message = "Each machine has the address of settings.env."
  }

  assert {
    condition     = length(distinct([for node in local.nodes : node.address])) == 3
    error_message = "Each machine has an address of its own."
  }

  assert {
    condition     = alltrue([for vm in proxmox_virtual_environment_vm.node : vm.on_boot && vm.memory[0].floating == 0 && vm.agent[0].enabled])
    error_message = "Machines start with the host, keep their memory, and have the guest agent."
  }

  assert {
    condition     = alltrue([for vm in proxmox_virtual_environment_vm.node : vm.startup[0].order > proxmox_virtual_environment_vm.node["server"].startup[0].order || vm.name == "k3s-server"])
    error_message = "The server starts before the agents."
  }

  assert {
    condition     = { for key, vm in proxmox_virtual_environment_vm.node : key => vm.protection } == { server = true, agent-1 = false, agent-2 = false }
    error_message = "The server alone is protected."
  }

  assert {
    condition     = alltrue([for vm in proxmox_virtual_environment_vm.node : !vm.reboot_after_update])
    error_message = "No change may restart nodes."
  }
}

run "disks" {
  command = plan

  assert {
    condition = alltrue([
      for vm in proxmox_virtual_environment_vm.node :
      [for disk in vm.disk : disk.interface] == ["virtio0", "virtio1"]
    ])
    error_message = "Each machine has two disks, the system's first."
  }

  assert {
    condition = alltrue([
      for vm in proxmox_virtual_environment_vm.node :
      vm.disk[0].import_from == "local:import/ubuntu-20260115-00000000.qcow2" && vm.disk[1].serial == "lumacore-longhorn" && !vm.disk[1].backup
    ])
    error_message = "The first disk is a copy of the image; the second has the serial number that names it in Linux, and is not in Proxmox's backups."
  }

  assert {
    condition     = length(local.longhorn_serial) <= 20
    error_message = "A virtio serial number has 20 characters at most; Linux would cut it off."
  }

  assert {
    condition     = proxmox_download_file.image.checksum_algorithm == "sha256" && proxmox_download_file.image.checksum == var.image_sha256
    error_message = "The image is held against its checksum."
  }
}

run "cloud_init" {
  command = plan

  assert {
    condition     = alltrue([for text in local.user_data : startswith(text, "#cloud-config\n")])
    error_message = "cloud-init knows its documents by the first line."
  }

  assert {
    condition = alltrue([
      for key, text in local.user_data :
      yamldecode(text).hostname == "k3s-${key}" && yamldecode(text).ssh_pwauth == false && yamldecode(text).users[0].lock_passwd == true && yamldecode(text).timezone == local.settings.TIMEZONE
    ])
    error_message = "Each machine has its name and the time zone of settings.env, and no password."
  }

  assert {
    condition = alltrue([
      for key, text in local.user_data :
      [for file in yamldecode(text).write_files : file.content if file.path == "/opt/lumacore/k3s/node.env"][0] == <<-EOT
        K3S_LONGHORN_DISK=/dev/disk/by-id/virtio-lumacore-longhorn
        K3S_NODE_IP=${local.nodes[key].address}
        K3S_NODE_NAME=k3s-${key}
        K3S_POD_CIDR=${local.settings.POD_CIDR}
        K3S_ROLE=${local.nodes[key].role}
        K3S_SERVER_IP=${local.settings.SERVER_IP}
        K3S_SERVICE_CIDR=${local.settings.SERVICE_CIDR}
      EOT
    ])
    error_message = "install.sh finds the facts of the cluster in node.env."
  }

  assert {
    condition = alltrue([
      for text in local.user_data :
      alltrue([for file in yamldecode(text).write_files : file.permissions == "0600" if startswith(file.path, "/etc/rancher/k3s/")])
    ])
    error_message = "Tokens are for root alone."
  }

  assert {
    condition = alltrue([
      for text in local.user_data : alltrue([
        for name in local.k3s_files :
        base64decode([for file in yamldecode(text).write_files : file.content if file.path == "/opt/lumacore/k3s/${name}"][0]) == file("${local.k3s_folder}/${name}")
      ])
    ])
    error_message = "All files of hosts/k3s arrive unchanged."
  }

  assert {
    condition = {
      for key, text in local.user_data : key => {
        for file in yamldecode(text).write_files : basename(file.path) => trimspace(file.content) if startswith(file.path, "/etc/rancher/k3s/")
      }
      } == {
      server  = { token = var.k3s_token, agent-token = var.k3s_agent_token }
      agent-1 = { token = var.k3s_agent_token }
      agent-2 = { token = var.k3s_agent_token }
    }
    error_message = "Agents know what they join with, and nothing of the server's."
  }

  assert {
    condition     = alltrue([for text in local.user_data : yamldecode(text).runcmd[1] == ["bash", "/opt/lumacore/k3s/install.sh"]])
    error_message = "The last thing that cloud-init does is install.sh."
  }

  assert {
    condition     = alltrue([for key, text in local.meta_data : yamldecode(text) == { "instance-id" = "k3s-${key}", "local-hostname" = "k3s-${key}" }])
    error_message = "A machine is set up once, whatever becomes of its documents."
  }
}

run "a_vlan_and_other_dns" {
  command = plan

  variables {
    vlan        = 20
    dns_servers = ["192.168.10.2", "192.168.10.3"]
    name_prefix = "lab-"
  }

  assert {
    condition     = alltrue([for vm in proxmox_virtual_environment_vm.node : vm.network_device[0].vlan_id == 20 && vm.initialization[0].dns[0].servers == tolist(["192.168.10.2", "192.168.10.3"])])
    error_message = "VLAN and DNS servers reach the machines."
  }

  assert {
    condition     = yamldecode(local.user_data["agent-1"]).hostname == "lab-agent-1"
    error_message = "The prefix of names reaches the nodes."
  }
}

# Numbers of others are left alone.
run "a_number_of_another_machine" {
  command = plan

  override_data {
    target = data.proxmox_virtual_environment_vms.existing
    values = {
      vms = [{ vm_id = 202, name = "nas", node_name = "pve", status = "running", tags = [], template = false }]
    }
  }

  expect_failures = [proxmox_virtual_environment_vm.node]
}

run "an_unprotected_server_is_mentioned" {
  command = plan

  variables {
    protect_server = false
  }

  expect_failures = [check.server_is_protected]
}
