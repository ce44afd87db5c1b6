# Values that are refused, before anything is asked of Proxmox. Run by `tofu test`.

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

run "endpoint_without_tls" {
  command = plan

  variables {
    proxmox_endpoint = "http://pve.lab.example.com:8006/"
  }

  expect_failures = [var.proxmox_endpoint]
}

run "endpoint_with_path" {
  command = plan

  variables {
    proxmox_endpoint = "https://pve.lab.example.com:8006/api2/json"
  }

  expect_failures = [var.proxmox_endpoint]
}

run "node_is_an_address" {
  command = plan

  variables {
    proxmox_node = "pve.lab.example.com"
  }

  expect_failures = [var.proxmox_node]
}

run "ssh_user" {
  command = plan

  variables {
    ssh_username = "Root User"
  }

  expect_failures = [var.ssh_username]
}

run "ssh_port" {
  command = plan

  variables {
    ssh_port = 70000
  }

  expect_failures = [var.ssh_port]
}

run "bridge" {
  command = plan

  variables {
    bridge = "vmbr0; reboot"
  }

  expect_failures = [var.bridge]
}

run "vlan" {
  command = plan

  variables {
    vlan = 4095
  }

  expect_failures = [var.vlan]
}

run "vm_id_twice" {
  command = plan

  variables {
    vm_ids = { server = 201, agent-1 = 202, agent-2 = 202 }
  }

  expect_failures = [var.vm_ids]
}

run "vm_id_reserved" {
  command = plan

  variables {
    vm_ids = { server = 99, agent-1 = 202, agent-2 = 203 }
  }

  expect_failures = [var.vm_ids]
}

run "vm_id_missing" {
  command = plan

  variables {
    vm_ids = { server = 201, agent-1 = 202 }
  }

  expect_failures = [var.vm_ids]
}

run "image_that_changes" {
  command = plan

  variables {
    image_url = "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img"
  }

  expect_failures = [var.image_url]
}

run "image_without_tls" {
  command = plan

  variables {
    image_url = "http://cloud-images.ubuntu.com/noble/20260115/noble-server-cloudimg-amd64.img"
  }

  expect_failures = [var.image_url]
}

run "checksum_too_short" {
  command = plan

  variables {
    image_sha256 = "abc"
  }

  expect_failures = [var.image_sha256]
}

run "checksum_with_name" {
  command = plan

  variables {
    image_sha256 = "0000000000000000000000000000000000000000000000000000000000000001 *noble-server-cloudimg-amd64.img"
  }

  expect_failures = [var.image_sha256]
}

run "prefix_of_names" {
  command = plan

  variables {
    name_prefix = "Lumacore_"
  }

  expect_failures = [var.name_prefix]
}

run "server_too_small" {
  command = plan

  variables {
    server = { memory_mib = 1024 }
  }

  expect_failures = [var.server]
}

run "server_with_half_a_core" {
  command = plan

  variables {
    server = { cores = 2.5 }
  }

  expect_failures = [var.server]
}

run "agent_too_small" {
  command = plan

  variables {
    agent = { longhorn_disk_gib = 1 }
  }

  expect_failures = [var.agent]
}

run "root_as_admin" {
  command = plan

  variables {
    admin_user = "root"
  }

  expect_failures = [var.admin_user]
}

run "no_key" {
  command = plan

  variables {
    ssh_public_keys = []
  }

  expect_failures = [var.ssh_public_keys]
}

run "private_key" {
  command = plan

  variables {
    ssh_public_keys = ["-----BEGIN OPENSSH PRIVATE KEY-----"]
  }

  expect_failures = [var.ssh_public_keys]
}

run "dns_name" {
  command = plan

  variables {
    dns_servers = ["router.lan"]
  }

  expect_failures = [var.dns_servers]
}

run "create_timeout" {
  command = plan

  variables {
    create_timeout = 0
  }

  expect_failures = [var.create_timeout]
}

run "short_token" {
  command = plan

  variables {
    k3s_token = "secret"
  }

  expect_failures = [var.k3s_token]
}

run "agents_with_the_token_of_the_server" {
  command = plan

  variables {
    k3s_agent_token = "simulated0server0token0of0thirtytwo0characters"
  }

  expect_failures = [var.k3s_agent_token]
}

run "token_with_spaces" {
  command = plan

  variables {
    k3s_token = "thirty two characters with spaces"
  }

  expect_failures = [var.k3s_token]
}
